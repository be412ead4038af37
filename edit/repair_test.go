package edit_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/edit"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

const dataFile = "ckpt-2.data-00000-of-00001"

var withDigests = &ckpt.SaveOptions{Digests: true, Metadata: &ckpt.Metadata{Step: new(int64(2)), Metrics: map[string]float64{"loss": 0.5}}}

// at is a bit of a tensor in its data file.
func at(t testing.TB, b storage.Bucket, key string, byteOf, bit int) int {
	_, offset, _ := placeOf(t, b, "ckpt-2", key)
	return 8*(int(offset)+byteOf) + bit
}

// TestRepair damages a checkpoint and says what must become of it.
func TestRepair(t *testing.T) {
	for _, c := range []struct {
		name    string
		save    *ckpt.SaveOptions
		other   bool // there is a checkpoint of step 1
		damage  func(t *testing.T, b storage.Bucket)
		options edit.RepairOptions
		want    string
		refused bool
		same    bool // as it was, byte for byte
	}{
		{name: "intact", damage: func(*testing.T, storage.Bucket) {}, want: "index intact", same: true},
		{name: "frozen tensor, donor", other: true, damage: flips(keyA, 17, 18, 40, 90), want: "index intact; a donor", same: true},
		{name: "frozen tensor, no donor", damage: flips(keyA, 17, 18, 40, 90), want: "index intact; a unrepaired", refused: true},
		{name: "other value", other: true, damage: flips(keyB, 17, 18), want: "index intact; b unrepaired", refused: true},
		{name: "left out", other: true, damage: flips(keyB, 17, 18), options: edit.RepairOptions{AllowPartial: true}, want: "index intact; b unrepaired"},
		{name: "frozen strings, donor", other: true, damage: flips(keyNote, 0, 1, 2, 3), want: "index intact; note donor", same: true},
		{name: "one bit, digest", save: withDigests, damage: flips(keyB, 77), want: "index intact; b bit", same: true},
		{name: "one bit in a length, digest", save: withDigests, damage: flips(keyNote, 1), want: "index intact; note bit", same: true},
		{name: "one bit in the checksum of lengths, digest", save: withDigests, damage: flips(keyNote, 20), want: "index intact; note bit", same: true},
		{name: "one bit in text, digest", save: withDigests, damage: flips(keyNote, 60), want: "index intact; note bit", same: true},
		{name: "one bit each, digest", save: withDigests, damage: func(t *testing.T, b storage.Bucket) {
			flips(keyB, 77)(t, b)
			flips(keyStep, 0)(t, b)
			flips("_CHECKPOINTABLE_OBJECT_GRAPH", 200)(t, b)
		}, want: "index intact; _CHECKPOINTABLE_OBJECT_GRAPH bit; b bit; step bit", same: true},
		{name: "one bit, no digest", damage: flips(keyB, 77), want: "index intact; b unrepaired", refused: true},
		{name: "one bit, no digest, partial", damage: flips(keyB, 77), options: edit.RepairOptions{AllowPartial: true}, want: "index intact; b unrepaired"},
		{name: "one bit, risk", damage: flips(keyB, 77), options: edit.RepairOptions{AcceptRisk: true}, want: "index intact; b risk", same: true},
		{name: "two bits, risk", damage: flips(keyB, 77, 78), options: edit.RepairOptions{AcceptRisk: true}, want: "index intact; b unrepaired", refused: true},
		{name: "two bits, digest", save: withDigests, damage: flips(keyB, 77, 78), options: edit.RepairOptions{AcceptRisk: true}, want: "index intact; b unrepaired", refused: true},
		{name: "lost data file", other: true, damage: func(t *testing.T, b storage.Bucket) {
			if err := b.Remove(t.Context(), dataFile); err != nil {
				t.Fatal(err)
			}
		}, options: edit.RepairOptions{AllowPartial: true}, want: "index intact; _CHECKPOINTABLE_OBJECT_GRAPH donor; a donor; b unrepaired; note donor; step unrepaired"},
		{name: "cut data file", other: true, damage: func(t *testing.T, b storage.Bucket) {
			change(t, b, dataFile, func(data []byte) []byte { return data[:10] })
		}, options: edit.RepairOptions{AllowPartial: true}, want: ""},
		{name: "all from a copy", save: withDigests, damage: func(t *testing.T, b storage.Bucket) {
			for _, name := range []string{"index", "data-00000-of-00001"} {
				storagetest.Put(t, b, "backup."+name, storagetest.Get(t, b, "ckpt-2."+name))
				if err := b.Remove(t.Context(), "ckpt-2."+name); err != nil {
					t.Fatal(err)
				}
			}
			storagetest.Put(t, b, dataFile, "nothing")
		}, options: edit.RepairOptions{Donors: []string{"backup"}}, want: "index donor; _CHECKPOINTABLE_OBJECT_GRAPH donor; a donor; b donor; note donor; step donor", same: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBucket()
			save(t, b, "ckpt-2", 2, c.save)
			want := filesOf(t, b, "ckpt-2")
			if c.other {
				save(t, b, "ckpt-1", 1, nil)
			}
			c.damage(t, b)
			dry := c.options
			dry.DryRun = true
			planned, dryErr := repair(t, b, &dry)
			r, err := repair(t, b, &c.options)
			if (dryErr == nil) != (err == nil) || fates(planned) != fates(r) {
				t.Errorf("planned %q, %v; done %q, %v", fates(planned), dryErr, fates(r), err)
			}
			if got := fates(r); c.want != "" && got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if c.refused {
				if !errors.Is(err, ckpt.ErrCorrupt) {
					t.Errorf("got %v, want ErrCorrupt", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantGood(t, b, "good", c.save != nil)
			if c.same {
				wantSame(t, filesOf(t, b, "good"), want)
			}
			if c.same && c.save != nil && !r.Identical {
				t.Error("not known to be identical")
			}
			wantNote(t, b, r, c.save != nil)
		})
	}
}

// flips flips bits of a tensor.
func flips(key string, bits ...int) func(t *testing.T, b storage.Bucket) {
	return func(t *testing.T, b storage.Bucket) {
		t.Helper()
		for _, bit := range bits {
			change(t, b, dataFile, flip(at(t, b, key, 0, bit)))
		}
	}
}

// wantNote compares the metadata with the result.
func wantNote(t *testing.T, b storage.Bucket, r *edit.Repaired, metadata bool) {
	t.Helper()
	m, err := ckpt.ReadMetadata(t.Context(), "good", &ckpt.OpenOptions{Bucket: b})
	if len(r.Tensors) == 0 && r.Index.How == edit.Intact && !metadata {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("metadata of a plain copy: %v, %v", m, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if metadata && (m.Step == nil || *m.Step != 2 || m.Metrics["loss"] != 0.5 || m.Digests == nil) {
		t.Errorf("not carried over: %+v", m)
	}
	if len(r.Tensors) == 0 {
		return
	}
	said, _ := m.Values["repair"].(map[string]any)
	tensors, _ := said["tensors"].([]any)
	if said["from"] != "ckpt-2" || len(tensors) != len(r.Tensors) {
		t.Fatalf("got %v, want %d tensors", m.Values, len(r.Tensors))
	}
	for i, want := range r.Tensors {
		got, _ := tensors[i].(map[string]any)
		if got["name"] != want.Name || got["how"] != string(want.How) || (got["chance"] != nil) != (want.How == edit.AtRisk) {
			t.Errorf("got %v, want %+v", got, want)
		}
	}
}

// TestRepairRefuses has what cannot be repaired at all.
func TestRepairRefuses(t *testing.T) {
	b := newBucket()
	save(t, b, "ckpt-2", 2, nil)
	save(t, b, "good", 3, nil)
	before := everything(t, b)
	_, err := edit.Repair(t.Context(), "ckpt-2", "good", &edit.RepairOptions{Bucket: b})
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a checkpoint: got %v, want fs.ErrExist", err)
	}
	_, err = edit.Repair(t.Context(), "ckpt-2", "ckpt-2", &edit.RepairOptions{Bucket: b})
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("in place: got %v, want fs.ErrExist", err)
	}
	_, err = edit.Repair(t.Context(), "none", "new", &edit.RepairOptions{Bucket: b})
	if !errors.Is(err, ckpt.ErrNoCheckpoint) {
		t.Errorf("nothing: got %v, want ErrNoCheckpoint", err)
	}
	_, err = edit.Repair(t.Context(), "ckpt-2", "new", &edit.RepairOptions{Bucket: b, Donors: []string{"none"}})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "donor none") {
		t.Errorf("a donor that is none: got %v", err)
	}
	_, err = edit.Repair(t.Context(), "../testdata/tensorflow-2.21.0-vectors/h", t.TempDir()+"/new", nil)
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("V1: got %v, want errors.ErrUnsupported", err)
	}
	wantSame(t, everything(t, b), before)
}
