package ckpt_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// damagedDir is a directory with two checkpoints, of steps 1 and 2, whose files are
// damaged one way after the other.
type damagedDir struct {
	files map[string]string
	bytes int // of the filler, 0 for a small program
}

// stepper is what the two programs of these tests have in common.
type stepper interface {
	setStep(step int64)
	atStep() (int64, error)
}

func (d *damagedDir) program() (stepper, *ckpt.Checkpoint) {
	if d.bytes > 0 {
		k := newKillable()
		return k, k.Checkpoint
	}
	p := newProgram()
	return p, p.Checkpoint
}

func newDamagedDir(t *testing.T, large int, o *ckpt.SaveOptions) *damagedDir {
	t.Helper()
	d := &damagedDir{files: make(map[string]string), bytes: large}
	b := mem.New()
	p, c := d.program()
	m := newManager(t, c, "", &ckpt.ManagerOptions{Bucket: b})
	for step := range int64(2) {
		p.setStep(step + 1)
		if _, err := m.Save(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range storagetest.List(t, b, "") {
		d.files[name] = storagetest.Get(t, b, name)
	}
	return d
}

// newest lists the files of ckpt-2.
func (d *damagedDir) newest() (names []string) {
	for name := range d.files {
		if strings.HasPrefix(name, "ckpt-2.") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// with is a bucket in which some files are others; nil is none.
func (d *damagedDir) with(t *testing.T, changed map[string][]byte) storage.Bucket {
	t.Helper()
	b := mem.New()
	for name, data := range d.files {
		if other, ok := changed[name]; !ok {
			storagetest.Put(t, b, name, data)
		} else if other != nil {
			storagetest.Put(t, b, name, string(other))
		}
	}
	return b
}

// A harm is a kind of harm; it yields what the files are then.
type harm struct {
	name string
	each func(d *damagedDir, yield func(changed map[string][]byte))
}

var smallDamages = []harm{
	{"one bit flipped", func(d *damagedDir, yield func(map[string][]byte)) {
		for _, name := range d.newest() {
			for bit := range 8 * len(d.files[name]) {
				bad := []byte(d.files[name])
				bad[bit/8] ^= 1 << (bit % 8)
				yield(map[string][]byte{name: bad})
			}
		}
	}},
	{"cut short", func(d *damagedDir, yield func(map[string][]byte)) {
		for _, name := range d.newest() {
			for n := range len(d.files[name]) {
				yield(map[string][]byte{name: []byte(d.files[name][:n])})
			}
		}
	}},
	{"cut short, zeros behind", func(d *damagedDir, yield func(map[string][]byte)) {
		for _, name := range d.newest() {
			for n := range len(d.files[name]) {
				bad := make([]byte, len(d.files[name]))
				copy(bad, d.files[name][:n])
				if string(bad) != d.files[name] {
					yield(map[string][]byte{name: bad})
				}
			}
		}
	}},
	{"bytes lost in the middle", func(d *damagedDir, yield func(map[string][]byte)) {
		for _, name := range d.newest() {
			for n := range len(d.files[name]) - 1 {
				yield(map[string][]byte{name: slices.Concat([]byte(d.files[name][:n]), []byte(d.files[name][n+1:]))})
			}
		}
	}},
	{"a file gone", func(d *damagedDir, yield func(map[string][]byte)) {
		for _, name := range d.newest() {
			yield(map[string][]byte{name: nil})
		}
	}},
	{"a file of the step before", func(d *damagedDir, yield func(map[string][]byte)) {
		for _, name := range d.newest() {
			yield(map[string][]byte{name: []byte(d.files[strings.Replace(name, "ckpt-2", "ckpt-1", 1)])})
		}
	}},
	{"two of its files swapped", func(d *damagedDir, yield func(map[string][]byte)) {
		names := d.newest()
		for i, a := range names {
			for _, b := range names[i+1:] {
				yield(map[string][]byte{a: []byte(d.files[b]), b: []byte(d.files[a])})
			}
		}
	}},
}

var largeDamages = []harm{
	{"a block of 4 KiB zeroed", blocks(func(b []byte) { clear(b) })},
	{"a block of 4 KiB of another file", blocks(func(b []byte) { copy(b, bytes.Repeat([]byte("\x7fELF"), 1024)) })},
	{"a block of 4 KiB twice", func(d *damagedDir, yield func(map[string][]byte)) {
		for _, name := range d.newest() {
			for at := 0; at+4096 < len(d.files[name]); at += 4096 {
				yield(map[string][]byte{name: slices.Concat([]byte(d.files[name][:at+4096]), []byte(d.files[name][at:]))})
			}
		}
	}},
	{"a block of 4 KiB of the step before", func(d *damagedDir, yield func(map[string][]byte)) {
		for _, name := range d.newest() {
			old := d.files[strings.Replace(name, "ckpt-2", "ckpt-1", 1)]
			for at := 0; at < len(d.files[name]); at += 4096 {
				end := min(at+4096, len(d.files[name]))
				bad := []byte(d.files[name])
				if copy(bad[at:end], old[at:min(end, len(old))]); string(bad) != d.files[name] {
					yield(map[string][]byte{name: bad})
				}
			}
		}
	}},
}

func blocks(change func(b []byte)) func(d *damagedDir, yield func(map[string][]byte)) {
	return func(d *damagedDir, yield func(map[string][]byte)) {
		for _, name := range d.newest() {
			for at := 0; at < len(d.files[name]); at += 4096 {
				bad := []byte(d.files[name])
				if change(bad[at:min(at+4096, len(bad))]); string(bad) != d.files[name] {
					yield(map[string][]byte{name: bad})
				}
			}
		}
	}
}

// verdicts counts what was said.
type verdicts struct{ cases, reported, refused, same, back int }

// TestDamages harms the newest of two checkpoints in every way of the lists. What
// verify passes has the right values, what Restore does not refuse has them, and
// Resume goes on from the newest or from the one before, never from a mixture.
func TestDamages(t *testing.T) {
	t.Logf("%-26s %-36s %7s %8s %8s %8s %8s", "checkpoint", "damage", "cases", "reported", "refused", "newest", "older")
	for _, form := range []struct {
		name    string
		options *ckpt.SaveOptions
	}{
		{"one data file", nil},
		{"four data files", threeFiles},
		{"metadata with digests", &ckpt.SaveOptions{Digests: true}},
	} {
		small, large := newDamagedDir(t, 0, form.options), newDamagedDir(t, 80000, form.options)
		for i, kind := range append(slices.Clone(smallDamages), largeDamages...) {
			d := small
			if i >= len(smallDamages) {
				d = large
			}
			t.Run(form.name+", "+kind.name, func(t *testing.T) {
				var v verdicts
				n := 0
				kind.each(d, func(changed map[string][]byte) {
					if n++; !raceDetector || n%13 == 1 {
						d.judge(t, changed, &v)
					}
				})
				if v.cases == 0 || v.refused+v.same != v.cases {
					t.Errorf("%+v", v)
				}
				t.Logf("%-26s %-36s %7d %8d %8d %8d %8d", form.name, kind.name, v.cases, v.reported, v.refused, v.same, v.back)
			})
		}
	}
}

// judge tries one case.
func (d *damagedDir) judge(t *testing.T, changed map[string][]byte, v *verdicts) {
	t.Helper()
	v.cases++
	what := func() string {
		var names []string
		for name, data := range changed {
			names = append(names, fmt.Sprintf("%s (%d bytes)", name, len(data)))
		}
		return fmt.Sprintf("case %d, %s", v.cases, strings.Join(names, ", "))
	}
	b := d.with(t, changed)
	report, err := ckpt.Verify(t.Context(), "ckpt-2", &ckpt.VerifyOptions{Bucket: b})
	reported := err != nil || !report.OK()
	p, c := d.program()
	p.setStep(50)
	_, err = c.Restore(t.Context(), "ckpt-2", &ckpt.RestoreOptions{Bucket: b})
	step, mixed := p.atStep()
	switch {
	case mixed != nil:
		t.Errorf("%s: Restore: %v, %v", what(), mixed, err)
	case err == nil && step != 2 || err != nil && step != 50:
		t.Errorf("%s: Restore left step %d, %v", what(), step, err)
	case err != nil:
		v.refused++
	default:
		v.same++
	}
	if reported {
		v.reported++
	} else if err != nil {
		t.Errorf("%s: verify found nothing, Restore said %v", what(), err)
	}
	p, c = d.program()
	r, resumeErr := newManager(t, c, "", &ckpt.ManagerOptions{Bucket: b}).Resume(t.Context(), nil)
	if resumeErr != nil {
		t.Errorf("%s: Resume: %v", what(), resumeErr)
		return
	}
	step, mixed = p.atStep()
	if mixed != nil || step != 1 && step != 2 || (step == 1) != (len(r.Refused) == 1) || step == 2 && err != nil {
		t.Errorf("%s: Resume: step %d, %v, refused %v; Restore said %v", what(), step, mixed, r.Refused, err)
	}
	if step == 1 {
		v.back++
	}
}
