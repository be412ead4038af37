package ckpt_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/mem"
)

// Objects in a list or a map are part of the checkpoint; Keras 3 leaves layers
// that a model holds in a Python list or dict out, without a word. The test of
// the same name in package keras has layers.
func TestPain26ObjectsInListsAndMaps(t *testing.T) {
	type net struct {
		Blocks []layer
		Heads  map[string]*layer
	}
	n := &net{Blocks: make([]layer, 2), Heads: map[string]*layer{"a": {}}}
	wantKeys(t, write(t, ckpt.New(ckpt.Objects{"n": ckpt.Track(n), "l": ckpt.NewList(scalar(1)), "m": ckpt.NewMap(map[string]ckpt.Trackable{"k": scalar(2)})})),
		"l/0", "m/k", "n/Blocks/0/bias", "n/Blocks/0/kernel", "n/Blocks/1/bias", "n/Blocks/1/kernel", "n/Heads/a/bias", "n/Heads/a/kernel")
}

// What TensorFlow saves and cannot restore is refused when it is saved.
func TestPain27NamesThatCannotBeRestored(t *testing.T) {
	for _, name := range []string{"a.b", "y/z"} {
		p := newPair(1)
		p.names[0] = name
		b := mem.New()
		_, err := ckpt.New(ckpt.Objects{"p": p}).Write(t.Context(), "c", &ckpt.SaveOptions{Bucket: b})
		wantError(t, name, err, "can be saved but not restored")
		for info, err := range b.List(t.Context(), "") {
			t.Errorf("%s: the refused save left %v, %v", name, info, err)
		}
	}
	suffixed := &badTable{keys: ckpt.NewVariable[int64]("", []int64{1}, nil), values: vector(0)}
	column := &tableColumn{suffixed.keys, suffixed.keys.Spec(), "-a.b"}
	_, err := ckpt.New(ckpt.Objects{"p": &oneValue{value: column}}).Write(t.Context(), "c", &ckpt.SaveOptions{Bucket: mem.New()})
	wantError(t, "a suffix", err, "can be saved but not restored")
}

type oneValue struct {
	ckpt.Node
	value ckpt.Value
}

func (o *oneValue) Values() []ckpt.Value { return []ckpt.Value{o.value} }

// What is no longer there is not saved: TensorFlow keeps deleted keys of a dict
// and attributes that were set to None.
func TestPain28NoGhosts(t *testing.T) {
	type net struct {
		M       map[string][]float32
		Pointer *layer
		Object  ckpt.Trackable
		Rows    [][]int8
	}
	n := &net{M: map[string][]float32{"a": {1}, "b": {2}}, Pointer: new(layer), Object: scalar(3), Rows: [][]int8{{1}, {2}}}
	c := ckpt.New(ckpt.Objects{"n": ckpt.Track(n)})
	wantKeys(t, write(t, c), "n/M/a", "n/M/b", "n/Object", "n/Pointer/bias", "n/Pointer/kernel", "n/Rows/0", "n/Rows/1")
	delete(n.M, "a")
	n.Pointer, n.Object, n.Rows = nil, nil, n.Rows[:1]
	wantKeys(t, write(t, c), "n/M/b", "n/Rows/0")
}

// A value that waited for an element of a list or a key of a map and does not fit
// is an error for whoever adds it: TensorFlow swallows it, and its asserts pass.
func TestPain30LateMisfitInContainers(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"l": ckpt.NewList(vector(1, 2)), "m": ckpt.NewMap(map[string]ckpt.Trackable{"k": vector(3, 4)})}))
	l, m := new(ckpt.List), new(ckpt.Map)
	status := s.read(t, ckpt.New(ckpt.Objects{"l": l, "m": m}))
	wrong := vector(9)
	for name, add := range map[string]func(ckpt.Trackable) error{
		"list": l.Append,
		"map":  func(v ckpt.Trackable) error { return m.Set("k", v) },
	} {
		err := add(wrong)
		if !errors.Is(err, ckpt.ErrMismatch) {
			t.Errorf("%s: got %v, want a mismatch", name, err)
		}
		wantValues(t, name, wrong, 9)
		wantError(t, name, status.CheckConsumed(), "Unresolved object")
		right := vector(0, 0)
		if err := add(right); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if right.Value() == 0 {
			t.Errorf("%s: the value that waited was lost", name)
		}
	}
	wantChecks(t, status, "", "", "")
}

// A root that tracks what was attached to it under the same name: the same object
// is saved, as TensorFlow should and does not; another one is an error that names
// both, before there is a file.
func TestPain31RootTracksAnAttachedName(t *testing.T) {
	m, k := branch(), scalar(2)
	c, err := ckpt.NewRooted(m, ckpt.Objects{"k": k})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Track("k", k); err != nil {
		t.Fatal(err)
	}
	s := save(t, c)
	k.Assign(0)
	wantChecks(t, s.restore(t, c), "", "", "")
	wantValues(t, "k", k, 2)
	if err := m.Replace("k", scalar(3)); err != nil {
		t.Fatal(err)
	}
	b := mem.New()
	_, err = c.Save(t.Context(), "c", &ckpt.SaveOptions{Bucket: b})
	wantError(t, "Save", err, "root.k is another object")
	var files []string
	for info, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, info.Name)
	}
	if diff := cmp.Diff(files, []string(nil)); diff != "" {
		t.Errorf("files: -got +want:\n%s", diff)
	}
}
