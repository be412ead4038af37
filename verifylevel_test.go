package ckpt_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

// metered is a bucket that counts what is read of data files.
type metered struct {
	storage.Bucket
	read int64
}

func (m *metered) Open(ctx context.Context, name string) (storage.File, error) {
	f, err := m.Bucket.Open(ctx, name)
	if err == nil && strings.Contains(name, ".data-") {
		f = meteredFile{f, m}
	}
	return f, err
}

type meteredFile struct {
	storage.File
	bucket *metered
}

func (f meteredFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	f.bucket.read += int64(n)
	return n, err
}

// sized are variables of so many floats, v0, v1, …
func sized(floats ...int) ckpt.Objects {
	objects := make(ckpt.Objects)
	for i, n := range floats {
		v := ckpt.NewVariable[float32]("", tensor.Shape{int64(n)}, nil)
		for j := range v.Data() {
			v.Data()[j] = float32(i + j)
		}
		objects[fmt.Sprint("v", i)] = v
	}
	return objects
}

// TestVerifyLevels damages a checkpoint in each way: a level notices what it is for.
func TestVerifyLevels(t *testing.T) {
	for _, d := range damages {
		for _, level := range []ckpt.Level{ckpt.LevelNames, ckpt.LevelIndex, ckpt.LevelAll} {
			t.Run(d.name+"/"+level.String(), func(t *testing.T) {
				dir := savedDir(t, 2)
				d.damage(t, filepath.Join(dir, "ckpt-2"))
				list, err := ckpt.VerifyDirectory(t.Context(), dir, &ckpt.VerifyOptions{Level: level})
				if err != nil || len(list) != 2 || !list[0].OK() {
					t.Fatalf("got %+v, %v", list, err)
				}
				want := true
				switch {
				case strings.HasPrefix(d.name, "bit flip in the graph"):
					want = level != ckpt.LevelNames
				case strings.HasPrefix(d.name, "bit flip in the index"), strings.HasPrefix(d.name, "bit flip in the footer"):
				case strings.HasPrefix(d.name, "bit flip"), d.name == "data of another checkpoint":
					want = level == ckpt.LevelAll
				}
				if d.kind == ckpt.KindFormat && strings.HasPrefix(d.file, ".data") {
					return // other files in place of the data: their size decides
				}
				if got := !list[1].OK(); got != want {
					t.Errorf("noticed: got %v, want %v: %v", got, want, list[1].Problems)
				}
			})
		}
	}
}

// TestVerifyLevelsRead counts the bytes of tensors that each level reads.
func TestVerifyLevelsRead(t *testing.T) {
	b := &metered{Bucket: mem.New()}
	if _, err := ckpt.New(sized(100_000, 200_000)).Write(t.Context(), "w", &ckpt.SaveOptions{Bucket: b}); err != nil {
		t.Fatal(err)
	}
	const tensors = 4 * 300_000
	for level, want := range map[ckpt.Level]struct{ low, high int64 }{
		ckpt.LevelNames: {0, 0}, ckpt.LevelIndex: {1, 300 << 10}, ckpt.LevelAll: {tensors, 3 * tensors},
	} {
		b.read = 0
		v, err := ckpt.Verify(t.Context(), "w", &ckpt.VerifyOptions{Bucket: b, Level: level})
		if err != nil || !v.OK() || b.read < want.low || b.read > want.high {
			t.Errorf("level %s: read %d bytes of data files, want %v; %+v, %v", level, b.read, want, v, err)
		}
		if all := level == ckpt.LevelAll; v.Stored.Tensors != 3 || v.Stored.Bytes < tensors || (v.Checked == v.Stored) != all || (v.Checked == ckpt.Coverage{}) == all {
			t.Errorf("level %s: checked %+v of %+v", level, v.Checked, v.Stored)
		}
	}
}

// TestVerifySampleCovers damages each tensor in turn: of the runs with all parts
// exactly one notices it, and together they read each tensor once.
func TestVerifySampleCovers(t *testing.T) {
	for _, sizes := range [][]int{{1, 1, 1, 1, 1}, {5, 100, 1, 0, 30, 30, 700, 2}, {0, 0}, slices.Repeat([]int{17}, 40)} {
		b := mem.New()
		if _, err := ckpt.New(sized(sizes...)).Write(t.Context(), "w", &ckpt.SaveOptions{Bucket: b}); err != nil {
			t.Fatal(err)
		}
		for _, of := range []int{1, 2, 3, 7, 50} {
			var checked ckpt.Coverage
			var largest int64
			var stored ckpt.Coverage
			for part := 1; part <= of; part++ {
				v, err := ckpt.Verify(t.Context(), "w", &ckpt.VerifyOptions{Bucket: b, Sample: ckpt.Sample{Part: part, Of: of}})
				if err != nil || !v.OK() {
					t.Fatalf("%v part %d of %d: %+v, %v", sizes, part, of, v, err)
				}
				stored = v.Stored
				checked.Tensors += v.Checked.Tensors
				checked.Bytes += v.Checked.Bytes
				largest = max(largest, v.Checked.Bytes)
			}
			if checked != stored || stored.Tensors != len(sizes)+1 {
				t.Errorf("%v in %d parts: checked %+v of %+v", sizes, of, checked, stored)
			}
			// The graph is a tensor, too.
			if most := stored.Bytes/int64(of) + max(4*int64(slices.Max(sizes)), stored.Bytes-4*sum(sizes)) + 1; largest > most {
				t.Errorf("%v in %d parts: one has %d bytes, want %d at most", sizes, of, largest, most)
			}
		}
	}
}

func sum(sizes []int) (total int64) {
	for _, n := range sizes {
		total += int64(n)
	}
	return total
}

func TestVerifySampleNotices(t *testing.T) {
	const of = 4
	noticed := make(map[string]int) // key → part
	for i := range 6 {
		prefix := filepath.Join(t.TempDir(), "w")
		if _, err := ckpt.New(sized(10, 20, 30, 40, 50, 60)).Write(t.Context(), prefix, nil); err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprintf("v%d/.ATTRIBUTES/VARIABLE_VALUE", i)
		flipBit(t, dataOf(prefix), offsetOf(t, prefix, key), 0)
		for part := 1; part <= of; part++ {
			v, err := ckpt.Verify(t.Context(), prefix, &ckpt.VerifyOptions{Sample: ckpt.Sample{Part: part, Of: of}})
			if err != nil {
				t.Fatal(err)
			}
			if !v.OK() && noticed[key] != 0 {
				t.Errorf("%s is noticed by parts %d and %d", key, noticed[key], part)
			}
			if !v.OK() {
				noticed[key] = part
			}
		}
	}
	parts := slices.Compact(slices.Sorted(maps.Values(noticed)))
	if len(noticed) != 6 || len(parts) < 3 {
		t.Errorf("got %v", noticed)
	}
}

func TestVerifyOptionsRefused(t *testing.T) {
	dir := savedDir(t, 1)
	for name, o := range map[string]*ckpt.VerifyOptions{
		"no such level":      {Level: 3},
		"level below 0":      {Level: -1},
		"part 0":             {Sample: ckpt.Sample{Of: 3}},
		"part beyond":        {Sample: ckpt.Sample{Part: 4, Of: 3}},
		"part of nothing":    {Sample: ckpt.Sample{Part: 1}},
		"sample of an index": {Sample: ckpt.Sample{Part: 1, Of: 2}, Level: ckpt.LevelIndex},
		"digests and sample": {Sample: ckpt.Sample{Part: 1, Of: 2}, Digests: true},
		"digests and level":  {Level: ckpt.LevelNames, Digests: true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err1 := ckpt.Verify(t.Context(), dir, o)
			_, err2 := ckpt.VerifyDirectory(t.Context(), dir, o)
			_, err3 := ckpt.FindGood(t.Context(), dir, o)
			_, err4 := ckpt.VerifyAll(t.Context(), dir, o)
			for _, err := range []error{err1, err2, err3, err4} {
				if err == nil || !strings.HasPrefix(err.Error(), "ckpt: VerifyOptions.") {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

func TestLevelText(t *testing.T) {
	for level, want := range map[ckpt.Level]string{ckpt.LevelAll: "all", ckpt.LevelIndex: "index", ckpt.LevelNames: "names"} {
		text, err := level.MarshalText()
		back := ckpt.Level(-1)
		if string(text) != want || err != nil || back.UnmarshalText(text) != nil || back != level {
			t.Errorf("got %s, %v, %v, want %s", text, err, back, want)
		}
	}
	if err := new(ckpt.Level).UnmarshalText([]byte("everything")); err == nil {
		t.Error("everything is a level")
	}
	if got, want := ckpt.Level(9).String(), "Level(9)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
