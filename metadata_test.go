package ckpt_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// said is metadata that says something of every kind.
func said() *ckpt.Metadata {
	return &ckpt.Metadata{
		Step: new(int64(700)), Pinned: true, Parent: "ckpt-6", Branch: "b",
		Metrics: map[string]float64{"accuracy": 0.97, "loss": math.NaN(), "best": math.Inf(-1), "worst": math.Inf(1)},
		Seeds:   map[string]uint64{"shuffle": math.MaxUint64},
		Values:  map[string]any{"data": []any{"a.csv", true, nil}, "rate": 0.5},
	}
}

func TestMetadataBothWays(t *testing.T) {
	p := newProgram()
	prefix := filepath.Join(t.TempDir(), "c")
	if _, err := p.Write(t.Context(), prefix, &ckpt.SaveOptions{Metadata: said()}); err != nil {
		t.Fatal(err)
	}
	got, err := ckpt.ReadMetadata(t.Context(), prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := said()
	want.Values["rate"] = json.Number("0.5")
	added := cmpopts.IgnoreFields(ckpt.Metadata{}, "Time", "Program", "Host")
	if diff := cmp.Diff(got, want, added, cmpopts.IgnoreUnexported(ckpt.Metadata{}), cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("-got +want:\n%s", diff)
	}
	if got.Time.IsZero() || got.Program.Go != runtime.Version() || !strings.HasSuffix(got.Program.Name, ".test") || got.Host.CPUs != runtime.NumCPU() {
		t.Errorf("facts: got %v, %+v, %+v", got.Time, got.Program, got.Host)
	}
	r, err := ckpt.Open(t.Context(), prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if m, err := r.Metadata(t.Context()); err != nil || m.Parent != "ckpt-6" {
		t.Errorf("by the Reader: got %+v, %v", m, err)
	}
}

// TestMetadataTime checks that metadata and the state file have one time, that of
// the Manager's clock.
func TestMetadataTime(t *testing.T) {
	p, dir := newProgram(), t.TempDir()
	at := time.Date(2001, 2, 3, 4, 5, 6, 7000, time.UTC)
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{Now: func() time.Time { return at }})
	prefix, err := m.Save(t.Context(), &ckpt.SaveOptions{Metadata: &ckpt.Metadata{Pinned: true}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := ckpt.ReadMetadata(t.Context(), prefix, nil)
	if err != nil || !got.Time.Equal(at) {
		t.Errorf("metadata: got %v, %v, want %v", got.Time, err, at)
	}
	s, err := ckpt.ReadState(t.Context(), dir, nil)
	if want := float64(at.UnixMicro()) / 1e6; err != nil || len(s.Timestamps) != 1 || s.Timestamps[0] != want {
		t.Errorf("state file: got %+v, %v, want %v", s, err, want)
	}
}

// TestMetadataOnlyIfAsked checks that a folder holds what TensorFlow's would.
func TestMetadataOnlyIfAsked(t *testing.T) {
	for name, o := range map[string]*ckpt.SaveOptions{"none": nil, "empty": {Metadata: &ckpt.Metadata{}}, "a step": {Metadata: &ckpt.Metadata{Step: new(int64(1))}}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := newProgram().Write(t.Context(), filepath.Join(dir, "c"), o); err != nil {
				t.Fatal(err)
			}
			wantFiles(t, dir, "c.data-00000-of-00001", "c.index")
			if _, err := ckpt.ReadMetadata(t.Context(), filepath.Join(dir, "c"), nil); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("got %v, want it not to exist", err)
			}
		})
	}
}

// TestMetadataOfAnother saves without metadata over a checkpoint that has some,
// and has TensorFlow do so, which leaves the file.
func TestMetadataOfAnother(t *testing.T) {
	dir := t.TempDir()
	prefix := filepath.Join(dir, "c")
	p := newProgram()
	write := func(step int64, prefix string, o *ckpt.SaveOptions) {
		t.Helper()
		p.setStep(step)
		if _, err := p.Write(t.Context(), prefix, o); err != nil {
			t.Fatal(err)
		}
	}
	write(1, prefix, &ckpt.SaveOptions{Metadata: said()})
	write(2, prefix, nil)
	wantFiles(t, dir, "c.data-00000-of-00001", "c.index")

	write(1, prefix, &ckpt.SaveOptions{Metadata: said()})
	write(3, filepath.Join(t.TempDir(), "c"), nil)
	other := filepath.Join(t.TempDir(), "c")
	write(4, other, nil)
	copyCheckpoint(t, other, prefix)
	_, err := ckpt.ReadMetadata(t.Context(), prefix, nil)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "another checkpoint") {
		t.Errorf("got %v, want that it is another's", err)
	}
	write(5, prefix, &ckpt.SaveOptions{Metadata: &ckpt.Metadata{Branch: "five"}})
	if m, err := ckpt.ReadMetadata(t.Context(), prefix, nil); err != nil || m.Branch != "five" {
		t.Errorf("got %+v, %v", m, err)
	}
}

// TestMetadataIsTaken changes everything once a background save has returned.
func TestMetadataIsTaken(t *testing.T) {
	m := said()
	list := []string{"first"}
	m.Values["list"] = &list
	g := newGate()
	p := newProgram()
	if _, err := p.Write(t.Context(), "c", &ckpt.SaveOptions{Bucket: g, Background: true, Metadata: m}); err != nil {
		t.Fatal(err)
	}
	*m.Step, m.Metrics["accuracy"], m.Seeds["shuffle"], list[0], m.Parent = 0, 0, 0, "changed", ""
	close(g.open)
	if err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := ckpt.ReadMetadata(t.Context(), "c", &ckpt.OpenOptions{Bucket: g})
	if err != nil {
		t.Fatal(err)
	}
	if *got.Step != 700 || got.Metrics["accuracy"] != 0.97 || got.Seeds["shuffle"] != math.MaxUint64 || got.Parent != "ckpt-6" || cmp.Diff(got.Values["list"], []any{"first"}) != "" {
		t.Errorf("got %+v", got)
	}
}

func TestMetadataThatIsNoJSON(t *testing.T) {
	dir := t.TempDir()
	_, err := newProgram().Write(t.Context(), filepath.Join(dir, "c"), &ckpt.SaveOptions{Metadata: &ckpt.Metadata{Values: map[string]any{"f": func() {}}}})
	wantError(t, "Write", err, `Values["f"] cannot be written as JSON`)
	wantFiles(t, dir)
}

func TestDigests(t *testing.T) {
	for name, o := range map[string]*ckpt.SaveOptions{"one file": {Digests: true}, "cut": {Digests: true, MaxShardSize: 10}, "beside metadata": {Digests: true, Metadata: said()}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			prefix := filepath.Join(dir, "c")
			v := ckpt.NewVariable("v", []int64{100000}, make([]float32, 100000))
			s := ckpt.NewStringVariable("s", []int64{3}, [][]byte{[]byte("a"), nil, []byte("\xff")})
			c := ckpt.New(ckpt.Objects{"v": v, "s": s})
			if name == "cut" {
				v = ckpt.NewVariable("v", []int64{5}, []float32{1, 2, 3, 4, 5})
				c = ckpt.New(ckpt.Objects{"v": v, "s": s})
			}
			if _, err := c.Write(t.Context(), prefix, o); err != nil {
				t.Fatal(err)
			}
			m, err := ckpt.ReadMetadata(t.Context(), prefix, nil)
			if err != nil {
				t.Fatal(err)
			}
			files := slices.DeleteFunc(filesIn(t, dir), func(f string) bool { return f == "c.meta.json" })
			if len(m.Digests.Files) != len(files) || len(m.Digests.Tensors) != 3 {
				t.Fatalf("got digests of %d files and %d tensors, want %d and 3", len(m.Digests.Files), len(m.Digests.Tensors), len(files))
			}
			for _, f := range m.Digests.Files {
				data := readFile(t, prefix+"."+f.Name)
				if f.SHA256 != sha256.Sum256(data) || f.Size != int64(len(data)) {
					t.Errorf("%s: got %x of %d bytes", f.Name, f.SHA256, f.Size)
				}
			}
			r, err := ckpt.Open(t.Context(), prefix, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			for _, d := range m.Digests.Tensors {
				if want, err := r.Hash(t.Context(), d.Name); err != nil || d.SHA256 != want {
					t.Errorf("%s: got %x, want %x, %v", d.Name, d.SHA256, want, err)
				}
			}
			wantDigestProblems(t, prefix)
		})
	}
}

// wantDigestProblems verifies with digests and compares the problems, each
// "file tensor kind".
func wantDigestProblems(t *testing.T, prefix string, want ...string) {
	t.Helper()
	v, err := ckpt.Verify(t.Context(), prefix, &ckpt.VerifyOptions{Digests: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range v.Problems {
		got = append(got, strings.Join(strings.Fields(p.File+" "+p.Key+" "+string(p.Kind)), " "))
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("-got +want:\n%s\n%v", diff, v.Problems)
	}
}

// TestVerifyDigests damages what was written with digests. Another value under
// right checksums is something only they notice.
func TestVerifyDigests(t *testing.T) {
	fresh := func(t *testing.T, first float32, o *ckpt.SaveOptions) string {
		prefix := filepath.Join(t.TempDir(), "c")
		c := ckpt.New(ckpt.Objects{"v": vector(first, 2)})
		if _, err := c.Write(t.Context(), prefix, o); err != nil {
			t.Fatal(err)
		}
		return prefix
	}
	asked := &ckpt.SaveOptions{Digests: true}
	t.Run("no metadata", func(t *testing.T) {
		wantDigestProblems(t, fresh(t, 1, nil), "c.meta.json missing")
	})
	t.Run("metadata without digests", func(t *testing.T) {
		wantDigestProblems(t, fresh(t, 1, &ckpt.SaveOptions{Metadata: said()}), "c.meta.json missing")
	})
	t.Run("garbage", func(t *testing.T) {
		prefix := fresh(t, 1, asked)
		writeFile(t, prefix+".meta.json", []byte("{"))
		wantDigestProblems(t, prefix, "c.meta.json format")
	})
	t.Run("a later schema", func(t *testing.T) {
		prefix := fresh(t, 1, asked)
		writeFile(t, prefix+".meta.json", []byte(`{"schema": 2}`))
		wantDigestProblems(t, prefix, "c.meta.json unsupported")
	})
	t.Run("another value with right checksums", func(t *testing.T) {
		prefix, other := fresh(t, 1, asked), fresh(t, 5, nil)
		writeFile(t, dataOf(prefix), readFile(t, dataOf(other)))
		// The note belongs to the index: give it that of the other one.
		note := string(readFile(t, prefix+".meta.json"))
		old, now := sha256.Sum256(readFile(t, prefix+".index")), sha256.Sum256(readFile(t, other+".index"))
		writeFile(t, prefix+".index", readFile(t, other+".index"))
		writeFile(t, prefix+".meta.json", []byte(strings.Replace(note, hex.EncodeToString(old[:]), hex.EncodeToString(now[:]), 1)))
		wantDigestProblems(t, prefix, "c.index checksum", "c.data-00000-of-00001 checksum", "v/.ATTRIBUTES/VARIABLE_VALUE checksum")
	})
	t.Run("names of other files", func(t *testing.T) {
		prefix := fresh(t, 1, asked)
		note := string(readFile(t, prefix+".meta.json"))
		writeFile(t, prefix+".meta.json", []byte(strings.Replace(note, `"data-00000-of-00001"`, `"/../../etc/passwd"`, 1)))
		wantDigestProblems(t, prefix, "c.meta.json format", "c.meta.json missing")
	})
}

// TestMetadataFaults fails each operation of a save over a checkpoint with
// metadata: afterwards the checkpoint that is there has its own.
func TestMetadataFaults(t *testing.T) {
	fired := forEachFault(t, func(t *testing.T, fault storagetest.Fault) bool {
		f := storagetest.NewFaulty(storagetest.NewCrashable())
		p := newProgram()
		o := func(step int64) *ckpt.SaveOptions {
			p.setStep(step)
			return &ckpt.SaveOptions{Bucket: f, Metadata: &ckpt.Metadata{Step: new(step), Branch: "b"}}
		}
		if _, err := p.Write(t.Context(), "c", o(1)); err != nil {
			t.Fatal(err)
		}
		f.Set(fault)
		_, err := p.Write(t.Context(), "c", o(2))
		happened := f.Fired()
		f.Set(storagetest.Fault{})
		if err == nil {
			wantOwnMetadata(t, f, 2)
		} else {
			wantOwnMetadata(t, f, 1, 2)
		}
		return happened
	})
	t.Logf("%d faults fired", fired)
}

// wantOwnMetadata restores "c" and compares the step with that of its metadata.
func wantOwnMetadata(t *testing.T, b storage.Bucket, steps ...int64) {
	t.Helper()
	p := newProgram()
	s, err := p.Read(t.Context(), "c", &ckpt.RestoreOptions{Bucket: b})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	step, err := p.atStep()
	if err != nil || !slices.Contains(steps, step) {
		t.Fatalf("restored step %d, %v, want one of %d", step, err, steps)
	}
	m, err := ckpt.ReadMetadata(t.Context(), "c", &ckpt.OpenOptions{Bucket: b})
	if err != nil || *m.Step != step {
		t.Errorf("step %d has the metadata %+v, %v", step, m, err)
	}
}

// TestMetadataCrashes is TestMetadataFaults with the power going.
func TestMetadataCrashes(t *testing.T) {
	cases := 0
	for n := 0; ; n++ {
		c := storagetest.NewCrashable()
		c.CrashAfter(n)
		p := newProgram()
		saved := int64(0)
		for step := int64(1); step <= 2 && !c.Crashed(); step++ {
			p.setStep(step)
			o := &ckpt.SaveOptions{Bucket: c, Metadata: &ckpt.Metadata{Step: new(step), Branch: "b"}}
			if _, err := p.Write(t.Context(), "c", o); err == nil {
				saved = step
			}
		}
		if !c.Crashed() {
			t.Logf("%d steps, %d crashes", n, cases)
			return
		}
		cases += forEachCrash(t, c, fmt.Sprint("step ", n), func(t *testing.T, disk *storagetest.Crashable) {
			if there, err := bundle.Exists(t.Context(), disk, "c"); err != nil || !there && saved > 0 {
				t.Fatalf("the checkpoint is gone: %v", err)
			} else if there {
				wantOwnMetadata(t, disk, saved, saved+1)
			}
		})
	}
}

func FuzzMetadata(f *testing.F) {
	b := newMem()
	c := ckpt.New(ckpt.Objects{"v": scalar(1)})
	if _, err := c.Write(f.Context(), "c", &ckpt.SaveOptions{Bucket: b, Digests: true, Metadata: said()}); err != nil {
		f.Fatal(err)
	}
	note, err := b.Open(f.Context(), "c.meta.json")
	if err != nil {
		f.Fatal(err)
	}
	text := make([]byte, note.Size())
	if _, err := note.ReadAt(text, 0); err != nil && err != io.EOF {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"schema":1,"index_sha256":"","digests":true,"files":[{"name_b64":"//4=","sha256":"00"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		w, err := b.Create(t.Context(), "c.meta.json", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		m, err := ckpt.ReadMetadata(t.Context(), "c", &ckpt.OpenOptions{Bucket: b})
		if err != nil {
			if !errors.Is(err, ckpt.ErrCorrupt) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errors.ErrUnsupported) {
				t.Fatalf("got %v", err)
			}
			return
		}
		// What was read can be said again.
		p := ckpt.New(ckpt.Objects{"v": scalar(1)})
		if _, err := p.Write(t.Context(), "d", &ckpt.SaveOptions{Bucket: b, Metadata: m}); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	})
}
