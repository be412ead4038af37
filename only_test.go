package ckpt_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt"
)

// onlyFile is a model, a head and an optimizer, saved.
func onlyFile(t testing.TB) saved {
	return save(t, ckpt.New(ckpt.Objects{
		"model": branch("encoder", branch("w", scalar(1), "old", scalar(9)), "decoder", branch("w", scalar(2))),
		"head":  branch("w", vector(3, 3)), "step": scalar(4),
	}))
}

func TestOnly(t *testing.T) {
	for _, paths := range [][]string{
		{"(root).model.encoder"}, {"model/encoder"}, {"model/encoder/w", "(root).model.encoder"},
	} {
		encoder, decoder, step, fresh := scalar(0), scalar(0), scalar(0), scalar(7)
		head := vector(0, 0, 0) // does not even fit
		c := ckpt.New(ckpt.Objects{
			"model": branch("encoder", branch("w", encoder, "old", scalar(0)), "decoder", branch("w", decoder)),
			"head":  branch("w", head), "step": step, "fresh": fresh,
		})
		status, err := onlyFile(t).options(t, c, ckpt.RestoreOptions{Only: paths})
		if err != nil {
			t.Fatal(err)
		}
		wantChecks(t, status, "", "", "")
		if len(status.Unused())+len(status.Waiting())+len(status.Warnings()) > 0 {
			t.Errorf("%v: got unused %v, waiting %v, warnings %v", paths, status.Unused(), status.Waiting(), status.Warnings())
		}
		wantValues(t, "encoder", encoder, 1)
		wantValues(t, "decoder", decoder, 0)
		wantValues(t, "step", step, 0)
		wantValues(t, "fresh", fresh, 7)
		if c.SaveCounter() != 0 {
			t.Errorf("%v: got save counter %d", paths, c.SaveCounter())
		}
	}
}

// Inside the parts everything counts as ever: what is missing, what is unused,
// what waits.
func TestOnlyCounts(t *testing.T) {
	s := onlyFile(t)
	encoder := branch("v", scalar(0))
	c := ckpt.New(ckpt.Objects{"model": branch("encoder", encoder, "decoder", branch("x", scalar(0))), "x": scalar(0)})
	status, err := s.options(t, c, ckpt.RestoreOptions{Only: []string{"(root).model.encoder"}})
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, "missing", status.CheckExistingObjectsMatched(), "(root).model.encoder.v;")
	if got, want := status.Unused(), []string{"(root).model.encoder.w", "(root).model.encoder.old"}; !slices.Equal(got, want) {
		t.Errorf("got unused %v, want %v", got, want)
	}
	w, decoder := scalar(0), scalar(0)
	if err := encoder.Track("w", w); err != nil {
		t.Fatal(err)
	}
	if err := c.Child("model").(*ckpt.Node).Child("decoder").(*ckpt.Node).Track("w", decoder); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "a value that waited", w, 1)
	wantValues(t, "what nothing was asked for", decoder, 0)
	// What does not wait for anything does not stop a save.
	status.Close()
	save(t, c)
}

func TestOnlyNothingWaitsElsewhere(t *testing.T) {
	c := ckpt.New(ckpt.Objects{"model": branch("encoder", branch("w", scalar(0), "old", scalar(0))), "head": branch()})
	if _, err := onlyFile(t).options(t, c, ckpt.RestoreOptions{Only: []string{"(root).model"}}); err != nil {
		t.Fatal(err)
	}
	head := vector(0, 0)
	if err := c.Child("head").(*ckpt.Node).Track("w", head); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "head", head, 0, 0)
}

func TestOnlyErrors(t *testing.T) {
	s := onlyFile(t)
	for _, test := range []struct{ path, want string }{
		{"(root).model.encodr", `the program has no object "(root).model.encodr"; did you mean "(root).model.encoder"`},
		{"", `no object ""`},
		{"(root)model", "goes on with a dot"},
		{"(root).head", `no object "(root).head"`}, // in the file, not in the program
	} {
		w := scalar(0)
		c := ckpt.New(ckpt.Objects{"model": branch("encoder", branch("w", w))})
		_, err := s.options(t, c, ckpt.RestoreOptions{Only: []string{"(root).model", test.path}})
		wantError(t, test.path, err, test.want)
		wantError(t, test.path, err, "nothing was restored")
		if wantValues(t, test.path, w, 0); c.SaveCounter() != 0 || c.Child("save_counter") != nil {
			t.Errorf("%q: the save counter is there", test.path)
		}
	}
}

func TestOnlyCounter(t *testing.T) {
	for _, paths := range [][]string{{"(root)"}, {"(root).save_counter"}} {
		c := ckpt.New(ckpt.Objects{"step": scalar(0)})
		if _, err := onlyFile(t).options(t, c, ckpt.RestoreOptions{Only: paths}); err != nil || c.SaveCounter() != 1 {
			t.Errorf("%v: got save counter %d (%v), want 1", paths, c.SaveCounter(), err)
		}
	}
}

// Slot variables belong to their optimizer, whose variables are left alone.
func TestOnlySlots(t *testing.T) {
	for _, test := range []struct {
		only    string
		v, m, b float32
	}{{"(root).optimizer", 0, 14, 0.9}, {"(root).var", 13, 1, 0}} {
		with, _ := slotFiles(t)
		v := scalar(0)
		o := new(adam)
		o.set(v, "m", 1)
		o.set(v, "v", 1)
		b := scalar(0)
		if err := o.Track("beta1_power", b); err != nil {
			t.Fatal(err)
		}
		if err := o.Track("beta2_power", scalar(0)); err != nil {
			t.Fatal(err)
		}
		status, err := with.options(t, ckpt.New(ckpt.Objects{"var": v, "optimizer": o}), ckpt.RestoreOptions{Only: []string{test.only}})
		if err != nil {
			t.Fatal(err)
		}
		wantChecks(t, status, "", "", "")
		wantValues(t, test.only+": var", v, test.v)
		wantValues(t, test.only+": m", o.slots["m"][v], test.m)
		wantValues(t, test.only+": beta1_power", b, test.b)
	}
}

// A shared object is restored wherever it is asked for.
func TestOnlyShared(t *testing.T) {
	shared := scalar(5)
	s := write(t, ckpt.New(ckpt.Objects{"a": branch("x", shared), "b": branch("y", shared)}))
	for _, path := range []string{"(root).a", "(root).b", "(root).b.y"} {
		live := scalar(0)
		c := ckpt.New(ckpt.Objects{"a": branch("x", live), "b": branch("y", live)})
		if _, err := s.options(t, c, ckpt.RestoreOptions{Only: []string{path}}); err != nil {
			t.Fatal(err)
		}
		wantValues(t, path, live, 5)
	}
}

func TestOnlyWithRename(t *testing.T) {
	w, other := scalar(0), scalar(0)
	c := ckpt.New(ckpt.Objects{"net": branch("enc", branch("w", w, "old", scalar(0)), "decoder", branch("w", other))})
	status, err := onlyFile(t).options(t, c, ckpt.RestoreOptions{
		Only:   []string{"(root).net.enc"},
		Rename: map[string]string{"(root).model": "(root).net", "(root).model.encoder": "(root).net.enc"},
	})
	if err != nil {
		t.Fatal(err)
	}
	wantChecks(t, status, "", "", "")
	wantValues(t, "w", w, 1)
	wantValues(t, "other", other, 0)
}

func TestOnlyByName(t *testing.T) {
	a, b := called("a"), called("scope/b", 2)
	zz := called("zz")
	status, err := nameFile(t).options(t, ckpt.New(ckpt.Objects{"x": a, "y": b, "z": zz}), ckpt.RestoreOptions{Only: []string{"(root).x"}})
	if err != nil {
		t.Fatal(err)
	}
	wantValues(t, "a", a, 1)
	wantValues(t, "b", b, 0, 0)
	wantChecks(t, status, "", "", "")
}

// A restore of parts does not end what an earlier, whole one left waiting.
func TestOnlyKeepsWhatWaits(t *testing.T) {
	s := onlyFile(t)
	c := ckpt.New(ckpt.Objects{"model": branch("encoder", branch())})
	s.restore(t, c)
	if _, err := s.options(t, c, ckpt.RestoreOptions{Only: []string{"(root).model.encoder"}}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		want float32
	}{{"(root).step", 4}, {"(root).model.encoder.w", 1}} {
		v := scalar(0)
		var err error
		if test.want == 4 {
			err = c.Track("step", v)
		} else {
			err = c.Child("model").(*ckpt.Node).Child("encoder").(*ckpt.Node).Track("w", v)
		}
		if err != nil {
			t.Fatal(err)
		}
		wantValues(t, fmt.Sprint(test.name), v, test.want)
	}
}

// A list of structs that would grow is left as it is outside of the parts.
func TestOnlyGrowth(t *testing.T) {
	type item struct {
		W []float32 `ckpt:"w"`
	}
	type state struct {
		Items []item `ckpt:"items"`
	}
	one := func(n int) *state { return &state{make([]item, n)} }
	full := &state{[]item{{[]float32{1}}, {[]float32{2}}, {[]float32{3}}}}
	s := write(t, ckpt.New(ckpt.Objects{"a": ckpt.Track(full), "b": ckpt.Track(full)}))
	a, b := one(1), one(1)
	if _, err := s.options(t, ckpt.New(ckpt.Objects{"a": ckpt.Track(a), "b": ckpt.Track(b)}), ckpt.RestoreOptions{Only: []string{"(root).b"}}); err != nil {
		t.Fatal(err)
	}
	if len(a.Items) != 1 || a.Items[0].W != nil {
		t.Errorf("a changed: %v", a)
	}
	if len(b.Items) != 3 || !slices.Equal(b.Items[2].W, []float32{3}) {
		t.Errorf("got %v, want all of b", b)
	}
}
