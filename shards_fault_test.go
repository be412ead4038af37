package ckpt_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// inThree saves a program in three data files: note, step and the first of the
// weights; the other weights; counter and graph.
var inThree = &ckpt.SaveOptions{MaxShardSize: 20, Shard: func(key string, _ ckpt.Spec) string {
	if key == objectgraph.Key || strings.HasPrefix(key, "save_counter/") {
		return "counter"
	}
	return ""
}}

func threeOf(prefix string) []string {
	files := []string{prefix + ".index"}
	for i := range 3 {
		files = append(files, bundle.DataName(prefix, i, 3))
	}
	return files
}

func TestInThree(t *testing.T) {
	p := newProgram()
	for _, step := range []int64{1, 10, 100} {
		p.setStep(step)
		s := saved{newMem(), "c"}
		o := *inThree
		o.Bucket = s.bucket
		path, err := p.Save(t.Context(), "c", &o)
		if err != nil {
			t.Fatal(err)
		}
		s.prefix = path
		want := []string{"note step weights 0,1", "weights 1,2", "save_counter graph"}
		if got := s.shards(t); !slices.Equal(got, want) {
			t.Errorf("step %d: got %q, want %q", step, got, want)
		}
	}
}

// TestShardFaults fails each operation of a save in three files over a
// directory that has such checkpoints, in the foreground and behind the program.
func TestShardFaults(t *testing.T) {
	for _, background := range []bool{false, true} {
		o := *inThree
		o.Background = background
		fired := forEachFault(t, func(t *testing.T, fault storagetest.Fault) bool {
			inner := storagetest.NewCrashable()
			f := storagetest.NewFaulty(inner)
			p := newProgram()
			var log logged
			m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 2, Bucket: f, Logger: log.logger()})
			saveShards(t, p, m, &o, 1, 2)
			f.Set(fault)
			p.setStep(3)
			_, err := m.Save(t.Context(), &o)
			p.setStep(99)
			err = errors.Join(err, m.Wait(t.Context()))
			happened := f.Fired()
			if err != nil && !errors.Is(err, fault.Err) {
				t.Errorf("got %v, want %v", err, fault.Err)
			}
			wantNewest(t, inner, err)
			f.Set(storagetest.Fault{})
			saveShards(t, p, m, &o, 4)
			want := []string{"checkpoint"}
			for _, name := range m.Checkpoints() {
				want = append(want, threeOf(name)...)
			}
			slices.Sort(want)
			if got := inBucket(t, inner, ""); !slices.Equal(got, want) || len(want) != 9 {
				t.Errorf("files after one more save: got %q, want %q; %v", got, want, err)
			}
			return happened
		})
		t.Logf("%d faults fired", fired)
	}
}

// saveShards saves steps and waits for each.
func saveShards(t *testing.T, p *program, m *ckpt.Manager, o *ckpt.SaveOptions, steps ...int64) {
	t.Helper()
	for _, step := range steps {
		p.setStep(step)
		if _, err := m.Save(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if err := m.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestShardCrashes pulls the plug after each step of three saves in three files,
// the last of which removes the first.
func TestShardCrashes(t *testing.T) {
	cases := 0
	for n := 0; ; n++ {
		c := storagetest.NewCrashable()
		p := newProgram()
		m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 2, Bucket: c})
		c.CrashAfter(n)
		acknowledged, tried := int64(0), int64(0)
		for acknowledged == tried && tried < 3 {
			tried++
			p.setStep(tried)
			if _, err := m.Save(t.Context(), inThree); err == nil {
				acknowledged = tried
			}
		}
		if !c.Crashed() {
			t.Logf("%d steps, %d crashes", n, cases)
			return
		}
		for _, kind := range crashes {
			for seed := range kind.seeds {
				cases++
				t.Run(fmt.Sprintf("step %d, share %v, seed %d", n, kind.share, seed), func(t *testing.T) {
					disk := c.Crash(seed, kind.share)
					checkShardedDisk(t, disk, acknowledged, tried, kind.share > 0 && kind.share < 1)
				})
			}
		}
	}
}

// checkShardedDisk is checkDisk for checkpoints in three files. Data whose proof
// the crash took may stay where changes did not survive in order.
func checkShardedDisk(t *testing.T, disk *storagetest.Crashable, acknowledged, tried int64, disorder bool) {
	t.Helper()
	before := inBucket(t, disk, "")
	defer func() {
		if t.Failed() {
			t.Logf("before: %q\nafter:  %q", before, inBucket(t, disk, ""))
		}
	}()
	wantAllWhole(t, disk)
	p := newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 2, Bucket: disk})
	r, err := m.Resume(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	step, err := p.atStep()
	if err != nil || step < acknowledged || step > tried || len(r.Refused) != 0 {
		t.Fatalf("resumed step %d of %q, %v, refused %v; saved %d, tried %d", step, r.Prefix, err, r.Refused, acknowledged, tried)
	}
	saveShards(t, p, m, inThree, 100)
	want := []string{"checkpoint"}
	for _, name := range m.Checkpoints() {
		want = append(want, threeOf(name)...)
	}
	for _, name := range inBucket(t, disk, "") {
		if i := slices.Index(want, name); i >= 0 {
			want = slices.Delete(want, i, i+1)
		} else if !disorder || !unproved(before, name) {
			t.Errorf("%s is left", name)
		}
	}
	if len(want) > 0 {
		t.Errorf("%q are missing", want)
	}
}

// unproved tells data without an index and without an unpublished file of its
// prefix that would say whose it is.
func unproved(files []string, name string) bool {
	prefix, _, _, isData := bundle.ParseDataName(name)
	return isData && slices.Contains(files, name) && !slices.ContainsFunc(files, func(file string) bool {
		return file == prefix+".index" || file == prefix+".index (unpublished)" || file == prefix+" (unpublished)"
	})
}

// TestShardReplaceCrashes pulls the plug while one file takes the place of three,
// and three that of one. Data of a count that no index speaks of may stay as
// long as the prefix has a checkpoint: it might be somebody else's.
func TestShardReplaceCrashes(t *testing.T) {
	for _, options := range [][2]*ckpt.SaveOptions{{nil, inThree}, {inThree, nil}, {inThree, {MaxShardSize: 8}}} {
		for n := 0; ; n++ {
			c := storagetest.NewCrashable()
			p := newProgram()
			m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: c})
			p.setStep(1)
			if _, err := m.SaveNumber(t.Context(), 7, options[0]); err != nil {
				t.Fatal(err)
			}
			c.CrashAfter(n)
			p.setStep(2)
			_, err := m.SaveNumber(t.Context(), 7, options[1])
			if !c.Crashed() {
				break
			}
			for _, kind := range crashes {
				for seed := range kind.seeds {
					t.Run(fmt.Sprintf("step %d, share %v, seed %d", n, kind.share, seed), func(t *testing.T) {
						checkReplacedShards(t, c.Crash(seed, kind.share), err == nil)
					})
				}
			}
		}
	}
}

func checkReplacedShards(t *testing.T, disk *storagetest.Crashable, replaced bool) {
	t.Helper()
	wantAllWhole(t, disk)
	p := newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: disk, MaxToKeep: 1})
	if _, err := m.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if step, err := p.atStep(); err != nil || step != 1 && step != 2 || replaced && step != 2 {
		t.Fatalf("got step %d, %v", step, err)
	}
	if _, err := m.SaveNumber(t.Context(), 7, inThree); err != nil {
		t.Fatal(err)
	}
	own := append(threeOf("ckpt-7"), "checkpoint")
	for _, name := range inBucket(t, disk, "") {
		if _, _, _, isData := bundle.ParseDataName(name); !isData && !slices.Contains(own, name) {
			t.Errorf("%s is left", name)
		}
	}
	if _, err := m.Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got, want := inBucket(t, disk, ""), filesOf("ckpt-8"); !slices.Equal(got, want) {
		t.Errorf("files: got %q, want %q", got, want)
	}
}

// Verify says of a tensor in slices what is wrong, and counts all of its bytes.
func TestVerifySlices(t *testing.T) {
	whole := saved{newMem(), "c"}
	p := newProgram()
	o := *inThree
	o.Bucket = whole.bucket
	if _, err := p.Write(t.Context(), "c", &o); err != nil {
		t.Fatal(err)
	}
	var done, total int64
	v, err := ckpt.Verify(t.Context(), "c", &ckpt.VerifyOptions{Bucket: whole.bucket, Progress: func(_ string, d, n int64) {
		if done, total = d, n; d > n {
			t.Errorf("%d of %d bytes", d, n)
		}
	}})
	if err != nil || !v.OK() || done != total || total < 12 {
		t.Errorf("got %v, %v, progress %d of %d", v, err, done, total)
	}
	for name, damage := range map[string]func(b storage.Bucket, file string){
		"checksum": func(b storage.Bucket, file string) { changeByte(t, b, file, 5) },
		"missing": func(b storage.Bucket, file string) {
			if err := b.Remove(t.Context(), file); err != nil {
				t.Fatal(err)
			}
		},
	} {
		b := newMem()
		for _, file := range inBucket(t, whole.bucket, "") {
			storagetest.Put(t, b, file, string(bytesIn(t, whole.bucket, file)))
		}
		file := bundle.DataName("c", 1, 3)
		damage(b, file)
		v, err := ckpt.Verify(t.Context(), "c", &ckpt.VerifyOptions{Bucket: b})
		if err != nil || len(v.Problems) == 0 || v.Problems[0].File != file {
			t.Errorf("%s: got %v, %v", name, v.Problems, err)
		}
		if len(v.Problems) != 1 {
			t.Errorf("%s: got %d problems, want 1: %v", name, len(v.Problems), v.Problems)
		}
	}
}

func changeByte(t *testing.T, b storage.Bucket, name string, at int) {
	t.Helper()
	data := bytesIn(t, b, name)
	data[at] ^= 1
	storagetest.Put(t, b, name, string(data))
}
