package ckpt_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
)

// A checkpoint that is replaced while values wait is not mixed with the new
// one, which may have the same graph.
func TestReplacedWhileWaiting(t *testing.T) {
	dir := t.TempDir()
	prefix := filepath.Join(dir, "c")
	program := ckpt.New(ckpt.Objects{"a": scalar(1), "b": scalar(2)})
	if _, err := program.Write(t.Context(), prefix, nil); err != nil {
		t.Fatal(err)
	}
	c := ckpt.New(ckpt.Objects{"a": scalar(0)})
	status, err := c.Read(t.Context(), prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	original := readFile(t, prefix+".index")
	data := readFile(t, dataOf(prefix))
	program.Child("b").(*ckpt.Variable[float32]).Assign(3)
	if _, err := program.Write(t.Context(), prefix, nil); err != nil {
		t.Fatal(err)
	}
	b := scalar(0)
	wantError(t, "Track", c.Track("b", b), "another checkpoint took this name")
	wantValues(t, "b", b, 0)
	if c.Child("b") != nil || len(status.Waiting()) != 1 {
		t.Error("b is tracked, or waits no longer")
	}
	removeFile(t, prefix+".index")
	if err := c.Track("b", b); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
	writeNew(t, prefix+".index", original)
	removeFile(t, dataOf(prefix))
	writeNew(t, dataOf(prefix), data)
	if err := c.Track("b", b); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "b", b, 2)
}

func TestCT1CT12List(t *testing.T) {
	b, late := scalar(1), scalar(2)
	l := ckpt.NewList(b)
	if err := l.Append(late); err != nil {
		t.Fatal(err)
	}
	s := write(t, ckpt.New(ckpt.Objects{"a": l}))
	wantEdges(t, s.graph(t), 1, "0→2 1→3")

	fresh := ckpt.NewList()
	status := s.read(t, ckpt.New(ckpt.Objects{"a": fresh}))
	for i, want := range []float32{1, 2} {
		v := scalar(0)
		if err := fresh.Append(v); err != nil {
			t.Fatal(err)
		}
		wantValues(t, fmt.Sprint(i), v, want)
		if err := status.CheckConsumed(); (err == nil) != (i == 1) {
			t.Errorf("after element %d: got %v", i, err)
		}
	}
}

// CT-8: children of a dictionary keep the order they were tracked in.
// CT-10: a list with gaps is a Node with numbers for names.
func TestCT8CT10Order(t *testing.T) {
	g := write(t, ckpt.New(ckpt.Objects{"d": branch("b", scalar(1), "a", scalar(2)), "t": branch("0", scalar(3), "2", scalar(4))})).graph(t)
	wantEdges(t, g, 1, "b→3 a→4")
	wantEdges(t, g, 2, "0→5 2→6")
}

// A name that waited and is replaced is no first-time name.
func TestReplaceWaits(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"v": scalar(1)}))
	c := ckpt.New(nil)
	s.read(t, c)
	v := scalar(0)
	if err := c.Replace("v", v); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "v", v, 1)
	w := scalar(5)
	if err := c.Replace("v", w); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "w", w, 5)
	wantError(t, "Replace", c.Replace("save_counter", v), "save_counter")
}

// One hundred thousand objects, one by one: neither quadratic nor an open for
// each.
func TestManyOneByOne(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	c, _ := many(0.5)
	dir := t.TempDir()
	prefix, err := c.Write(t.Context(), filepath.Join(dir, "c"), nil)
	if err != nil {
		t.Fatal(err)
	}
	list := ckpt.NewList()
	status, err := ckpt.New(ckpt.Objects{"list": list}).Read(t.Context(), prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100_000 {
		v := scalar(0)
		if err := list.Append(v); err != nil {
			t.Fatal(err)
		}
		if v.Value() != float32(i)+0.5 {
			t.Fatalf("element %d: got %v", i, v.Value())
		}
	}
	wantChecks(t, status, "", "", "")
	if w := status.Warnings(); len(w) > 0 {
		t.Errorf("warnings: %s", strings.Join(w, "\n"))
	}
	noOpenFiles(t, dir)
}
