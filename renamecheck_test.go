package ckpt_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
)

type rates struct {
	Rate  float32 `ckpt:"rate"`
	Speed float32 `ckpt:"speed"`
}

// Errors of names in another form than Rename and Only take say what to write.
func TestPathsWrittenOtherwise(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"state": branch("rate", scalar(1))}))
	for _, test := range []struct {
		name string
		o    ckpt.RestoreOptions
		want string
	}{
		{"an old path", ckpt.RestoreOptions{Rename: map[string]string{"state.rate": "state/speed"}}, `is it "(root).state.rate"?`},
		{"a new path", ckpt.RestoreOptions{Rename: map[string]string{"state/rate": "state.speed"}}, `is it "(root).state.speed"?`},
		{"a part", ckpt.RestoreOptions{Only: []string{"state.speed"}}, `is it "(root).state.speed"?`},
		{"a dot in a key", ckpt.RestoreOptions{Only: []string{"state/v1.speed"}}, `is it "(root).state.v1..speed"?`},
	} {
		t.Run(test.name, func(t *testing.T) {
			speed := scalar(0)
			_, err := s.options(t, ckpt.New(ckpt.Objects{"state": branch("speed", speed)}), test.o)
			wantError(t, test.name, err, test.want)
			wantError(t, test.name, err, "nothing was restored")
			wantValues(t, "speed", speed, 0)
		})
	}
}

// A new name that no field has names the nearest ones.
func TestRenameToNothing(t *testing.T) {
	b := newMem()
	if _, err := newManager(t, ckpt.New(ckpt.Objects{"s": branch("old", scalar(1), "rate", scalar(2))}), "", &ckpt.ManagerOptions{Bucket: b}).Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	now := &rates{Rate: -1}
	m := newManager(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(now)}), "", &ckpt.ManagerOptions{Bucket: b})
	_, err := m.Resume(t.Context(), &ckpt.ResumeOptions{AllowPartial: true, Rename: map[string]string{"s/old": "s/sped"}})
	wantMismatch(t, "a field", err, `the program has no object "s/sped"; did you mean "(root).s.speed"`)
	_, err = m.Resume(t.Context(), &ckpt.ResumeOptions{AllowPartial: true, Rename: map[string]string{"s/old": "s/speed/deeper/x"}})
	wantMismatch(t, "below a field", err, `the program has no object "s/speed/deeper/x"`)
	if now.Rate != -1 {
		t.Error("something was restored")
	}
}

// Names that shift may stay in the options; those that swap may not.
func TestRenameAgain(t *testing.T) {
	for _, test := range []struct {
		name   string
		rename map[string]string
		live   []string
		again  [2]float32
	}{
		{"shifted", map[string]string{"a": "b", "(root).b": "(root).c"}, []string{"b", "c"}, [2]float32{1, 2}},
		{"shifted twice", map[string]string{"b": "c", "c": "d", "a": "b"}, []string{"b", "c"}, [2]float32{1, 2}},
		{"swapped", map[string]string{"a": "b", "b": "a"}, []string{"b", "a"}, [2]float32{2, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := write(t, ckpt.New(ckpt.Objects{"a": scalar(1), "b": scalar(2)}))
			if test.name == "shifted twice" {
				s = write(t, ckpt.New(ckpt.Objects{"a": scalar(1), "b": scalar(2), "c": scalar(3)}))
			}
			for i := range 2 {
				x, y, z := scalar(0), scalar(0), scalar(0)
				objects := ckpt.Objects{test.live[0]: x, test.live[1]: y}
				if test.name == "shifted twice" {
					objects["d"] = z
				}
				c := ckpt.New(objects)
				if _, err := c.Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket, Rename: test.rename}); err != nil {
					t.Fatal(err)
				}
				want := [2]float32{1, 2}
				if i == 1 {
					want = test.again
				}
				wantValues(t, test.live[0], x, want[0])
				wantValues(t, test.live[1], y, want[1])
				s = write(t, c)
			}
		})
	}
}

// What only has to be filled was not renamed.
func TestHintOfFill(t *testing.T) {
	type state struct{ P *rates }
	s := write(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(&state{&rates{1, 2}})}))
	got := new(state)
	status := s.read(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(got)}))
	got.P = new(rates)
	err := status.CheckExistingObjectsMatched()
	wantError(t, "before", err, "call RestoreStatus.Fill")
	if err != nil && strings.Contains(err.Error(), "renamed") {
		t.Errorf("got %v", err)
	}
	if err := status.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantChecks(t, status, "", "", "")
}

// Resume tells everything that does not fit at once.
func TestResumeTellsAll(t *testing.T) {
	b := newMem()
	one := scalar(1)
	from := ckpt.Objects{"a": vector(1, 2), "b": ckpt.NewScalar("b", int32(3)), "one": one, "two": one, "leaf": scalar(4)}
	if _, err := newManager(t, ckpt.New(from), "", &ckpt.ManagerOptions{Bucket: b}).Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	to := ckpt.Objects{"a": vector(0), "b": scalar(0), "one": scalar(0), "two": scalar(0), "leaf": branch(), "new": scalar(0)}
	_, err := newManager(t, ckpt.New(to), "", &ckpt.ManagerOptions{Bucket: b}).Resume(t.Context(), nil)
	for _, want := range []string{
		"no values for 2 objects of the program, nothing was restored: (root).new, (root).two;", "one object where the program has two: (root).one",
		"have none themselves, only children, nothing was restored: (root).leaf", "2 of 4 values differ",
		"a/.ATTRIBUTES/VARIABLE_VALUE", "b/.ATTRIBUTES/VARIABLE_VALUE",
	} {
		wantMismatch(t, "Resume", err, want)
	}
	var misfit *ckpt.MismatchError
	var unmatched *ckpt.UnmatchedError
	if !errors.As(err, &misfit) || !errors.As(err, &unmatched) {
		t.Errorf("got %v, which is not both", err)
	}
}

// A name that is not there is compared with objects, not only with keys.
func TestReaderNearNames(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"model": branch("encoder", branch("layer_0", branch("kernel", scalar(1), "bias", scalar(2)))), "w": scalar(3)}))
	const kernel = "model/encoder/layer_0/kernel/.ATTRIBUTES/VARIABLE_VALUE"
	r := s.open(t)
	for _, test := range []struct{ name, want string }{
		{"model/encoder/layer_0/kernl", kernel},
		{"model/encodr/layer0/kernel", kernel},
		{"layer_0/kernel", kernel},
		{"kernell", kernel},
		{"(root).model.encoder.layer_0.kernal", kernel},
		{"model.encoder.layer_0.kernel", kernel},
		{"model/encoder/layer_0/kernel", kernel},
		{"model/encoder/layer_0/kernel/.ATTRIBUTES/VARIABLE_VALU", kernel},
		{"encoder/layer_0/bais/.ATTRIBUTES/VARIABLE_VALUE", "model/encoder/layer_0/bias/.ATTRIBUTES/VARIABLE_VALUE"},
	} {
		_, err := r.Tensor(t.Context(), test.name)
		wantError(t, test.name, err, "did you mean "+test.want)
		_, err = ckpt.Read[float32](t.Context(), r, test.name)
		wantError(t, test.name, err, "did you mean "+test.want)
	}
	if _, err := r.Tensor(t.Context(), "something/else"); err == nil || strings.Contains(err.Error(), "did you mean") {
		t.Errorf("got %v, want no proposal", err)
	}
}
