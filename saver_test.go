package ckpt_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/storage/mem"
)

// custom is an object with a registered saver.
type custom struct {
	*ckpt.Variable[float32]
	saver string
}

func newCustom(v float32) *custom { return &custom{scalar(v), "Custom.pp"} }

func (c *custom) Saver() string                               { return c.saver }
func (c *custom) SaverKey(path string, spec ckpt.Spec) string { return path + "/value" }

func TestSV1RegisteredBesideOrdinary(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"m": branch("r", newCustom(1)), "v": scalar(2)}))
	g := s.graph(t)
	r := g.Nodes[3]
	if r.RegisteredSaver == nil || r.RegisteredSaver.Name != "Custom.pp" || r.RegisteredSaver.Object != "m/r" || len(r.Attributes) != 0 {
		t.Errorf("got node %+v", r)
	}
	if r.HasValues != objectgraph.ValuesTrue {
		t.Errorf("got has_checkpoint_values %v", r.HasValues)
	}
	wantKeys(t, s, "m/r/value", "v")
}

func TestSV2Registered(t *testing.T) {
	a, b, v := newCustom(1), newCustom(2), scalar(3)
	c := ckpt.New(ckpt.Objects{"a": a, "b": b, "v": v})
	s := write(t, c)
	got := make(map[string]int)
	for v, err := range s.open(t).Variables() {
		if err != nil {
			t.Fatal(err)
		}
		got[v.Name] = v.Shard
	}
	if diff := cmp.Diff(got, map[string]int{"a/value": 0, "b/value": 0, "v/.ATTRIBUTES/VARIABLE_VALUE": 1, objectgraph.Key: 1}); diff != "" {
		t.Errorf("shards: -got +want:\n%s", diff)
	}
	for _, x := range []*ckpt.Variable[float32]{a.Variable, b.Variable, v} {
		x.Assign(0)
	}
	wantChecks(t, s.read(t, c), "", "", "")
	for i, x := range []*ckpt.Variable[float32]{a.Variable, b.Variable, v} {
		wantValues(t, fmt.Sprint(i), x, float32(i+1))
	}

	// Elsewhere in the program: the stored path counts.
	status := s.read(t, ckpt.New(ckpt.Objects{"a": newCustom(0), "v": scalar(0)}))
	wantError(t, "Waiting", errors.New(fmt.Sprint(status.Waiting())), "(root).b")

	other := newCustom(0)
	other.saver = "Custom.other"
	for name, test := range map[string]struct {
		object ckpt.Trackable
		want   string
	}{
		"none":  {branch(), `registered saver "Custom.pp", which this program does not have`},
		"other": {other, `"Custom.pp", and has "Custom.other"`},
	} {
		kept := scalar(9)
		_, err := ckpt.New(ckpt.Objects{"a": test.object, "v": kept}).Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket})
		wantError(t, name, err, test.want)
		if !errors.Is(err, ckpt.ErrMismatch) {
			t.Errorf("%s: got %v, want a mismatch", name, err)
		}
		wantValues(t, name, kept, 9)
	}
	plain := write(t, ckpt.New(ckpt.Objects{"a": scalar(1)}))
	_, err := ckpt.New(ckpt.Objects{"a": newCustom(0)}).Read(t.Context(), plain.prefix, &ckpt.RestoreOptions{Bucket: plain.bucket})
	wantError(t, "stored without", err, "was written without one")
}

// Groups and sizes apply behind the files of registered savers.
func TestRegisteredWithShards(t *testing.T) {
	other := newCustom(3)
	other.saver = "Custom.other"
	c := ckpt.New(ckpt.Objects{"a": newCustom(1), "b": other, "c": newCustom(2), "v": scalar(4), "w": scalar(5)})
	b := mem.New()
	asked := 0
	_, err := c.Write(t.Context(), "c", &ckpt.SaveOptions{Bucket: b, Shard: func(key string, spec ckpt.Spec) string {
		asked++
		return key
	}})
	if err != nil {
		t.Fatal(err)
	}
	if asked != 3 {
		t.Errorf("Shard was asked %d times, want 3: two variables and the graph", asked)
	}
	got := make(map[string]int)
	for v, err := range (saved{b, "c"}).open(t).Variables() {
		if err != nil {
			t.Fatal(err)
		}
		got[v.Name] = v.Shard
	}
	want := map[string]int{"a/value": 0, "c/value": 0, "b/value": 1, "v/.ATTRIBUTES/VARIABLE_VALUE": 2, "w/.ATTRIBUTES/VARIABLE_VALUE": 3, objectgraph.Key: 4}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("shards: -got +want:\n%s", diff)
	}
}

func TestRegisteredNames(t *testing.T) {
	for _, name := range []string{"", "one", "a b.c", ".x", "x."} {
		c := newCustom(1)
		c.saver = name
		_, err := ckpt.New(ckpt.Objects{"a": c}).Write(t.Context(), "c", &ckpt.SaveOptions{Bucket: mem.New()})
		wantError(t, name, err, "is no name of a registered saver")
	}
	clash := &clashing{newCustom(1)}
	_, err := ckpt.New(ckpt.Objects{"a": clash, "b": scalar(1)}).Write(context.Background(), "c", &ckpt.SaveOptions{Bucket: mem.New()})
	wantError(t, "clash", err, "duplicate key")
}

type clashing struct{ *custom }

func (c *clashing) SaverKey(string, ckpt.Spec) string { return "b/.ATTRIBUTES/VARIABLE_VALUE" }
