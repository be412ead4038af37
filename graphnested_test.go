package ckpt_test

import (
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/mem"
)

func TestOG7Rooted(t *testing.T) {
	v, separate := scalar(1), scalar(2)
	m := branch("v", v)
	c, err := ckpt.NewRooted(m, ckpt.Objects{"separate_variable": separate})
	if err != nil {
		t.Fatal(err)
	}
	wantEdges(t, save(t, c).graph(t), 0, "v→1 root→0 separate_variable→2 save_counter→3")

	_, err = ckpt.NewRooted(m, ckpt.Objects{"v": scalar(0)})
	wantError(t, "another v", err, "root.v already exists")
	if c, err = ckpt.NewRooted(m, ckpt.Objects{"v": v}); err != nil {
		t.Fatal(err)
	}
	wantEdges(t, save(t, c).graph(t), 0, "v→1 root→0 save_counter→2")
	_, err = ckpt.NewRooted(branch("root", scalar(0)), nil)
	wantError(t, "another root", err, "root.root already exists")
	_, err = ckpt.NewRooted(m, ckpt.Objects{"save_counter": scalar(0)})
	wantError(t, "save_counter", err, "save_counter")
}

// A Checkpoint inside another one: a rooted one has its root as child _root.
func TestNestedCheckpoints(t *testing.T) {
	inner, err := ckpt.NewRooted(branch("v", scalar(1)), ckpt.Objects{"k": scalar(2)})
	if err != nil {
		t.Fatal(err)
	}
	outer := ckpt.New(ckpt.Objects{"i": inner})
	g := write(t, outer).graph(t)
	wantEdges(t, g, 1, "_root→2 k→3 root→2")
	save(t, inner)
	g = write(t, outer).graph(t)
	wantEdges(t, g, 1, "_root→2 k→3 root→2 save_counter→4")

	plain := ckpt.New(ckpt.Objects{"v": scalar(1)})
	save(t, plain)
	wantKeys(t, write(t, ckpt.New(ckpt.Objects{"inner": plain})), "inner/save_counter", "inner/v")
}

// What was attached to a root and is tracked by the root later has two edges,
// as in TensorFlow.
func TestAttachedAndTracked(t *testing.T) {
	m, k := branch(), scalar(2)
	c, err := ckpt.NewRooted(m, ckpt.Objects{"k": k})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Track("k", k); err != nil {
		t.Fatal(err)
	}
	wantEdges(t, write(t, c).graph(t), 0, "k→1 k→1 root→0")
	if err := m.Replace("k", scalar(3)); err != nil {
		t.Fatal(err)
	}
	_, err = c.Write(t.Context(), "c", &ckpt.SaveOptions{Bucket: mem.New()})
	wantError(t, "another object", err, "root.k")
}

func TestRootedCheckpointIsClosed(t *testing.T) {
	m := branch("v", scalar(1))
	k := scalar(2)
	c, err := ckpt.NewRooted(m, ckpt.Objects{"k": k})
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, "Track", c.Track("x", scalar(0)), "track it on the root")
	wantError(t, "Replace", c.Replace("v", scalar(0)), "track it on the root")
	if c.Child("v") != m.Child("v") || c.Child("k") != ckpt.Trackable(k) || c.Child("x") != nil {
		t.Error("Child does not look at the root and at what is attached")
	}
	if got := edges(write(t, c).graph(t), 0); got != "v→1 k→2 root→0" {
		t.Errorf("got edges %s", got)
	}
}

func TestRootWithItsOwnCounter(t *testing.T) {
	m := branch("save_counter", ckpt.NewScalar("count", int64(4)), "v", scalar(1))
	c, err := ckpt.NewRooted(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.SaveCounter(); got != 4 {
		t.Errorf("got %d, want 4", got)
	}
	s := save(t, c)
	if s.prefix != "c-5" {
		t.Errorf("got %s, want c-5", s.prefix)
	}
	wantEdges(t, s.graph(t), 0, "save_counter→1 v→2 root→0")
	c, err = ckpt.NewRooted(branch("save_counter", scalar(0)), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Save(t.Context(), "c", &ckpt.SaveOptions{Bucket: mem.New()})
	wantError(t, "a float counter", err, "save_counter")
}
