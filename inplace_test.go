package ckpt_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/storagetest"
	"github.com/ckpt-go/ckpt/tensor"
)

// bigElements make two variables of them larger than what Resume stages.
const bigElements = 17 << 18

// big is a program whose values are read in place.
type big struct {
	a, b *ckpt.Variable[float32]
	*ckpt.Checkpoint
}

func newBig() *big {
	p := &big{
		a: ckpt.NewVariable[float32]("a", tensor.Shape{bigElements}, nil),
		b: ckpt.NewVariable[float32]("b", tensor.Shape{bigElements}, nil),
	}
	p.Checkpoint = ckpt.New(ckpt.Objects{"a": p.a, "b": p.b})
	return p
}

func (p *big) fill(value float32) {
	for i := range bigElements {
		p.a.Data()[i], p.b.Data()[i] = value, -value
	}
}

func (p *big) wantFilled(t *testing.T, value float32) {
	t.Helper()
	for i := range bigElements {
		if p.a.Data()[i] != value || p.b.Data()[i] != -value {
			t.Fatalf("element %d: got %v and %v, want ±%v", i, p.a.Data()[i], p.b.Data()[i], value)
		}
	}
}

// damageIn flips a bit of a file in a bucket.
func damageIn(t *testing.T, b storage.Bucket, name string, offset int) {
	t.Helper()
	data := []byte(storagetest.Get(t, b, name))
	data[offset] ^= 4
	storagetest.Put(t, b, name, string(data))
}

func TestResumeInPlace(t *testing.T) {
	b := newMem()
	p := newBig()
	o := &ckpt.ManagerOptions{Bucket: b}
	m := newManager(t, p.Checkpoint, "", o)
	for i := range 3 {
		p.fill(float32(i + 1))
		if _, err := m.Save(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	// The newest is damaged in its second value, the one before at its very end.
	damageIn(t, b, dataOf("ckpt-3"), 4*bigElements+5)
	damageIn(t, b, dataOf("ckpt-2"), 8*bigElements-1)

	p = newBig()
	r, err := newManager(t, p.Checkpoint, "", o).Resume(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	p.wantFilled(t, 1)
	if r.Prefix != "ckpt-1" || len(r.Refused) != 2 || p.SaveCounter() != 1 {
		t.Errorf("Resume: got %+v, counter %d", r, p.SaveCounter())
	}
	for _, refusal := range r.Refused {
		var c *ckpt.CorruptError
		if !errors.As(refusal, &c) || c.Key != "b/.ATTRIBUTES/VARIABLE_VALUE" || c.Kind != ckpt.KindChecksum {
			t.Errorf("Refused: got %v", refusal)
		}
	}

	damageIn(t, b, dataOf("ckpt-1"), 5)
	p = newBig()
	initialized := false
	m = newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b, Init: func(context.Context) error { initialized = true; return nil }})
	r, err = m.Resume(t.Context(), nil)
	if r != nil || errors.Is(err, ckpt.ErrNoCheckpoint) || !errors.Is(err, ckpt.ErrCorrupt) {
		t.Fatalf("Resume of damaged ones only: got %+v, %v", r, err)
	}
	if text := err.Error(); !strings.Contains(text, "must not be used") || strings.Contains(text, "nothing was restored") {
		t.Errorf("the error says: %s", text)
	}
	if initialized || p.SaveCounter() != 0 {
		t.Errorf("Init called %v, counter %d", initialized, p.SaveCounter())
	}

	_, err = m.Resume(t.Context(), &ckpt.ResumeOptions{Strict: true})
	if !errors.Is(err, ckpt.ErrCorrupt) || errors.Is(err, ckpt.ErrNoCheckpoint) || !strings.Contains(err.Error(), "must not be used") {
		t.Errorf("Strict: got %v", err)
	}
}

// TestResumeInPlaceUncovered has an older checkpoint without a value that the
// damaged one overwrote.
func TestResumeInPlaceUncovered(t *testing.T) {
	b := newMem()
	o := &ckpt.ManagerOptions{Bucket: b}
	p := newBig()
	m := newManager(t, ckpt.New(ckpt.Objects{"a": p.a}), "", o)
	if _, err := m.Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	m = newManager(t, p.Checkpoint, "", o)
	if _, err := m.Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	damageIn(t, b, dataOf("ckpt-2"), 8*bigElements-1)
	for _, partial := range []bool{false, true} {
		p = newBig()
		r, err := newManager(t, p.Checkpoint, "", o).Resume(t.Context(), &ckpt.ResumeOptions{AllowPartial: partial})
		if r != nil || !errors.Is(err, ckpt.ErrMismatch) || !strings.Contains(err.Error(), "must not be used") {
			t.Errorf("AllowPartial %v: got %+v, %v", partial, r, err)
		}
		var u *ckpt.UnmatchedError
		if !errors.As(err, &u) || !slices.ContainsFunc(u.Names, func(name string) bool { return strings.Contains(name, "b") }) {
			t.Errorf("AllowPartial %v: the error names %+v", partial, u)
		}
	}
}

// TestResumeSmallIsStaged checks that a damaged small checkpoint changes
// nothing, even for a moment.
func TestResumeSmallIsStaged(t *testing.T) {
	dir := savedDir(t, 1)
	flipBit(t, dataOf(dir+"/ckpt-1"), 24, 0)
	p := newProgram()
	p.setStep(50)
	_, err := newManager(t, p.Checkpoint, dir, nil).Resume(t.Context(), nil)
	if !errors.Is(err, ckpt.ErrCorrupt) || strings.Contains(err.Error(), "must not be used") {
		t.Errorf("Resume: got %v", err)
	}
	p.wantStep(t, 50)
}
