package ckpt_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
)

// options is Checkpoint.Restore with options, in the bucket of a checkpoint.
func (s saved) options(t testing.TB, c *ckpt.Checkpoint, o ckpt.RestoreOptions) (*ckpt.RestoreStatus, error) {
	t.Helper()
	o.Bucket = s.bucket
	return c.Restore(t.Context(), s.prefix, &o)
}

func TestRenameSubtree(t *testing.T) {
	for _, form := range []map[string]string{
		{"(root).model.encoder": "(root).model.enc"},
		{"model/encoder": "model/enc"},
		{"(root).model.encoder": "model/enc", "(root).gone": "(root).model"}, // the new path is there
	} {
		s := save(t, ckpt.New(ckpt.Objects{"model": branch("encoder", branch("w", vector(1, 2), "b", scalar(3)), "out", scalar(4))}))
		w, b, out := vector(0, 0), scalar(0), scalar(0)
		c := ckpt.New(ckpt.Objects{"model": branch("enc", branch("w", w, "b", b), "out", out)})
		status, err := s.options(t, c, ckpt.RestoreOptions{Rename: form})
		if err != nil {
			t.Fatal(err)
		}
		wantChecks(t, status, "", "", "")
		wantValues(t, "w", w, 1, 2)
		wantValues(t, "b", b, 3)
		wantValues(t, "out", out, 4)
		if c.SaveCounter() != 1 {
			t.Errorf("got save counter %d", c.SaveCounter())
		}
	}
}

// Old paths are the file's; new ones are the program's, through other entries too.
func TestRenameMoves(t *testing.T) {
	file := func() saved {
		return write(t, ckpt.New(ckpt.Objects{"a": scalar(1), "b": scalar(2), "model": branch("x", branch("v", scalar(3)))}))
	}
	for _, test := range []struct {
		name   string
		rename map[string]string
		live   []string // a, b, v: their paths
	}{
		{"swapped", map[string]string{"(root).a": "(root).b", "(root).b": "(root).a"}, []string{"b", "a", "model/x/v"}},
		{"parent and child", map[string]string{"(root).model": "(root).net", "(root).model.x": "(root).net.y"}, []string{"a", "b", "net/y/v"}},
		{"into new objects", map[string]string{"(root).a": "(root).state.deep.a"}, []string{"state/deep/a", "b", "model/x/v"}},
		{"below itself", map[string]string{"(root).a": "(root).a.value"}, []string{"a/value", "b", "model/x/v"}},
		{"out of its parent", map[string]string{"(root).model.x.v": "(root).v"}, []string{"a", "b", "v"}},
		{"into what moves", map[string]string{"(root).model": "(root).m", "(root).a": "(root).m.a"}, []string{"m/a", "b", "m/x/v"}},
	} {
		a, b, v := scalar(0), scalar(0), scalar(0)
		c := ckpt.New(nil)
		for i, x := range []ckpt.Trackable{a, b, v} {
			hang(t, c, test.live[i], x)
		}
		status, err := file().options(t, c, ckpt.RestoreOptions{Rename: test.rename})
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if status.Unused() != nil && len(status.Unused()) > 0 {
			t.Errorf("%s: got unused %v", test.name, status.Unused())
		}
		wantValues(t, test.name+": a", a, 1)
		wantValues(t, test.name+": b", b, 2)
		wantValues(t, test.name+": v", v, 3)
	}
}

// hang tracks an object at a path, with the nodes on the way.
func hang(t testing.TB, c *ckpt.Checkpoint, path string, object ckpt.Trackable) {
	t.Helper()
	names := strings.Split(path, "/")
	track := c.Track
	child := c.Child
	for _, name := range names[:len(names)-1] {
		n, _ := child(name).(*ckpt.Node)
		if n == nil {
			n = new(ckpt.Node)
			if err := track(name, n); err != nil {
				t.Fatal(err)
			}
		}
		track, child = n.Track, n.Child
	}
	if err := track(names[len(names)-1], object); err != nil {
		t.Fatal(err)
	}
}

// Names with dots and slashes, in both forms, and copied from a message.
func TestRenamePaths(t *testing.T) {
	for _, path := range []string{"(root).n.a..b/c", "n/a..b.Sc", "n/a..b.Sc/.ATTRIBUTES/VARIABLE_VALUE", "(root).n.a.b/c"} {
		s := write(t, ckpt.New(ckpt.Objects{"n": branch("a.b/c", scalar(7))}))
		v := scalar(0)
		_, err := s.options(t, ckpt.New(ckpt.Objects{"n": branch("x.y", v)}), ckpt.RestoreOptions{Rename: map[string]string{path: "(root).n.x..y"}})
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		wantValues(t, path, v, 7)
	}
	s := write(t, ckpt.New(ckpt.Objects{"n": branch(".hidden", scalar(7), "", branch("v", scalar(8)))}))
	v, w := scalar(0), scalar(0)
	_, err := s.options(t, ckpt.New(ckpt.Objects{"v": v, "w": w}), ckpt.RestoreOptions{Rename: map[string]string{"n/..hidden": "v", "n//v": "w"}})
	if err != nil {
		t.Fatal(err)
	}
	wantValues(t, "v", v, 7)
	wantValues(t, "w", w, 8)
}

func TestRenameErrors(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"model": branch("encoder", scalar(1), "decoder", scalar(2)), "a": scalar(3)}))
	for _, test := range []struct {
		rename map[string]string
		want   string
	}{
		{map[string]string{"(root).model.encodr": "(root).model.enc"}, `the checkpoint has no object "(root).model.encodr"; did you mean "(root).model.encoder" or "(root).model.decoder"?`},
		{map[string]string{"model/encodr": "model/enc"}, `no object "model/encodr"; did you mean "(root).model.encoder"`},
		{map[string]string{"(root).model.encoder": "(root).model.decoder"}, "which the checkpoint has too"},
		{map[string]string{"(root)": "(root).model"}, "the root itself has no name"},
		{map[string]string{"(root).a": "(root)"}, "the root itself has no name"},
		{map[string]string{"(root)a": "b"}, "goes on with a dot"},
		{map[string]string{"a.b": "b"}, "lone dot"},
		{map[string]string{"a": "x", "(root).a": "y"}, "are the same object"},
	} {
		v := scalar(0)
		_, err := s.options(t, ckpt.New(ckpt.Objects{"a": v}), ckpt.RestoreOptions{Rename: test.rename})
		wantError(t, fmt.Sprint(test.rename), err, test.want)
		wantError(t, fmt.Sprint(test.rename), err, "nothing was restored")
		wantValues(t, fmt.Sprint(test.rename), v, 0)
	}
	_, err := s.options(t, ckpt.New(nil), ckpt.RestoreOptions{Rename: map[string]string{"x": "y"}})
	if !errors.Is(err, ckpt.ErrMismatch) {
		t.Errorf("got %v, want ErrMismatch", err)
	}
	_, err = nameFile(t).options(t, ckpt.New(nil), ckpt.RestoreOptions{Rename: map[string]string{"x": "y"}})
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a name-based file: got %v, want ErrUnsupported", err)
	}
}

// What waits goes by the new names, too.
func TestRenameDeferred(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"model": branch("encoder", branch("w", scalar(5)))}))
	model := branch()
	status, err := s.options(t, ckpt.New(ckpt.Objects{"model": model}), ckpt.RestoreOptions{Rename: map[string]string{"(root).model.encoder": "(root).model.parts.enc"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := status.Unused(); !slices.Equal(got, []string{"(root).model.parts.enc.w"}) {
		t.Errorf("got unused %v", got)
	}
	w := scalar(0)
	if err := model.Track("parts", branch("enc", branch("w", w))); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "w", w, 5)
}

// A program that resumes with a renaming goes on to resume from what it saves.
func TestRenameResume(t *testing.T) {
	dir := t.TempDir()
	_, err := newManager(t, ckpt.New(ckpt.Objects{"encoder": vector(1, 2), "decoder": vector(1, 2, 3)}), dir, nil).Save(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	enc, dec := vector(0, 0), vector(0, 0, 0)
	manager := newManager(t, ckpt.New(ckpt.Objects{"enc": enc, "dec": dec}), dir, nil)
	_, err = manager.Resume(t.Context(), nil)
	wantMismatch(t, "without a renaming", err, "likely renamed: (root).decoder is (root).dec now, (root).encoder is (root).enc now")
	rename := map[string]string{"(root).encoder": "(root).enc", "(root).decoder": "(root).dec"}
	for range 2 {
		resumed, err := manager.Resume(t.Context(), &ckpt.ResumeOptions{Rename: rename})
		if err != nil || resumed.Prefix == "" {
			t.Fatalf("got %v, %v", resumed, err)
		}
		wantValues(t, "enc", enc, 1, 2)
		wantValues(t, "dec", dec, 1, 2, 3)
		if _, err := manager.Save(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLikelyRenamed(t *testing.T) {
	layer := func(n int) *ckpt.Node { return branch("w", vector(make([]float32, n)...), "b", scalar(0)) }
	stored := func() *ckpt.Node { return branch("dense_1", layer(3), "dense_2", layer(3), "conv", layer(4)) }
	for _, test := range []struct {
		name string
		live *ckpt.Node
		want map[string]string
	}{
		{"one", branch("dense_1", layer(3), "dense_2", layer(3), "convolution", layer(4)), map[string]string{"(root).m.conv": "(root).m.convolution"}},
		{"by the nearest names", branch("layer_1", layer(3), "layer_2", layer(3), "conv", layer(4)),
			map[string]string{"(root).m.dense_1": "(root).m.layer_1", "(root).m.dense_2": "(root).m.layer_2"}},
		{"none of two as likely", branch("first", layer(3), "other", layer(3), "conv", layer(4)), nil},
		{"another shape", branch("dense_1", layer(3), "dense_2", layer(3), "convolution", layer(5)), nil},
		{"other names below", branch("dense_1", layer(3), "dense_2", layer(3), "convolution", branch("kernel", vector(0, 0, 0, 0), "b", scalar(0))), nil},
		{"moved", branch("dense_1", layer(3), "dense_2", layer(3), "deep", branch("conv", layer(4))), nil}, // deep as a whole is new
	} {
		s := write(t, ckpt.New(ckpt.Objects{"m": stored()}))
		c := ckpt.New(ckpt.Objects{"m": test.live})
		d, err := s.view(t).Diff(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(d.Renamed, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, d.Renamed, test.want)
		}
		err = s.read(t, c).CheckExistingObjectsMatched()
		for from, to := range test.want {
			wantError(t, test.name, err, from+" is "+to+" now")
			wantError(t, test.name, errors.New(d.String()), "likely renamed: "+from+" is "+to+" now\n")
		}
		if test.want == nil && strings.Contains(err.Error(), "likely renamed") {
			t.Errorf("%s: got %v", test.name, err)
		}
		if test.want == nil {
			continue
		}
		status, err := s.options(t, c, ckpt.RestoreOptions{Rename: d.Renamed})
		if err != nil || len(status.Unused()) > 0 {
			t.Errorf("%s: taking the guess: got %v, unused %v", test.name, err, status.Unused())
		}
	}
}

// Slot variables go with the variable, whatever it is called.
func TestRenameSlots(t *testing.T) {
	with, _ := slotFiles(t)
	v := scalar(0)
	o := newAdam(v)
	_, err := with.options(t, ckpt.New(ckpt.Objects{"weights": v, "opt": o}), ckpt.RestoreOptions{
		Rename: map[string]string{"(root).var": "(root).weights", "(root).optimizer": "(root).opt"},
	})
	if err != nil {
		t.Fatal(err)
	}
	wantValues(t, "weights", v, 13)
	wantValues(t, "slot m", o.slots["m"][v], 14)
}
