package ckpt_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// beforeOpen calls a function before a file is opened, every time.
type beforeOpen struct {
	storage.Bucket
	name string
	do   func()
}

func (b *beforeOpen) Open(ctx context.Context, name string) (storage.File, error) {
	if name == b.name {
		b.do()
	}
	return b.Bucket.Open(ctx, name)
}

// anonymous is a bucket whose files cannot be told apart.
type anonymous struct{ storage.Bucket }

func (a anonymous) Open(ctx context.Context, name string) (storage.File, error) {
	f, err := a.Bucket.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	return struct{ storage.File }{f}, nil
}

// places are buckets of several kinds.
var places = map[string]func(t *testing.T) storage.Bucket{
	"local":     func(t *testing.T) storage.Bucket { return local.Open(t.TempDir(), nil) },
	"objects":   func(*testing.T) storage.Bucket { return storagetest.NewObjects(newMem()) },
	"anonymous": func(*testing.T) storage.Bucket { return anonymous{newMem()} },
}

// verifiers are all that look for damage, each told where a Manager of two saves is.
var verifiers = map[string]func(t *testing.T, o *ckpt.VerifyOptions) []*ckpt.Verified{
	"Verify": func(t *testing.T, o *ckpt.VerifyOptions) []*ckpt.Verified {
		v, err := ckpt.Verify(t.Context(), "ckpt-2", o)
		if err != nil {
			t.Fatal(err)
		}
		return []*ckpt.Verified{v}
	},
	"VerifyDirectory": func(t *testing.T, o *ckpt.VerifyOptions) []*ckpt.Verified {
		list, err := ckpt.VerifyDirectory(t.Context(), "", o)
		if err != nil || len(list) != 2 {
			t.Fatalf("VerifyDirectory: got %d checkpoints, %v, want 2", len(list), err)
		}
		return list
	},
	"FindGood": func(t *testing.T, o *ckpt.VerifyOptions) []*ckpt.Verified {
		f, err := ckpt.FindGood(t.Context(), "", o)
		if err != nil || f.Prefix != "ckpt-2" {
			t.Errorf("FindGood: got %+v, %v, want ckpt-2", f, err)
		}
		return f.Refused
	},
}

// TestVerifyWhileReplaced writes over the latest checkpoint, once, when its index was
// read and its data file, its metadata or its index again is about to be: that is no
// damage, and nobody falls back to an older one.
func TestVerifyWhileReplaced(t *testing.T) {
	for kind, open := range places {
		for _, file := range []string{dataOf("ckpt-2"), "ckpt-2.meta.json", "ckpt-2.index"} {
			for name, verify := range verifiers {
				t.Run(kind+"/"+file+"/"+name, func(t *testing.T) {
					b := open(t)
					p := newProgram()
					m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b})
					digests := &ckpt.SaveOptions{Digests: true}
					for step := range int64(2) {
						p.setStep(step)
						if _, err := m.Save(t.Context(), digests); err != nil {
							t.Fatal(err)
						}
					}
					h := &meddling{b, file, func() {
						p.setStep(7)
						if _, err := m.SaveNumber(t.Context(), 2, digests); err != nil {
							t.Error(err)
						}
					}}
					for _, v := range verify(t, &ckpt.VerifyOptions{Bucket: h, Digests: true}) {
						if !v.OK() {
							t.Errorf("%s: %v", v.Prefix, v.Problems)
						}
					}
					if h.do != nil {
						t.Error("nothing was written over")
					}
				})
			}
		}
	}
}

// TestReaderWhileReplaced has a reader with the old index meet the new data.
func TestReaderWhileReplaced(t *testing.T) {
	for _, kind := range []string{"local", "objects"} {
		b := places[kind](t)
		p := newProgram()
		write := func() {
			if _, err := p.Write(t.Context(), "w", &ckpt.SaveOptions{Bucket: b}); err != nil {
				t.Fatal(err)
			}
		}
		write()
		r, err := ckpt.Open(t.Context(), "w", &ckpt.OpenOptions{Bucket: b})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		p.setStep(2)
		write()
		if _, err := r.Tensor(t.Context(), "step/.ATTRIBUTES/VARIABLE_VALUE"); !errors.Is(err, bundle.ErrReplaced) || errors.Is(err, ckpt.ErrCorrupt) {
			t.Errorf("%s: got %v, want bundle.ErrReplaced, which is no damage", kind, err)
		}
	}
}

// TestVerifyRewritten writes over a checkpoint the values that it has.
func TestVerifyRewritten(t *testing.T) {
	b := newMem()
	p := newProgram()
	write := func() {
		if _, err := p.Write(t.Context(), "w", &ckpt.SaveOptions{Bucket: b}); err != nil {
			t.Fatal(err)
		}
	}
	write()
	v, err := ckpt.Verify(t.Context(), "w", &ckpt.VerifyOptions{Bucket: &meddling{b, dataOf("w"), write}})
	if err != nil || !v.OK() {
		t.Errorf("got %+v, %v", v, err)
	}
}

// TestVerifyAwayForAMoment takes the index of the latest checkpoint away, and puts it
// back when whoever looks for it has looked everywhere, as a store without second
// names does when a checkpoint is written over.
func TestVerifyAwayForAMoment(t *testing.T) {
	for name, verify := range verifiers {
		if name == "Verify" {
			continue // it looks before
		}
		t.Run(name, func(t *testing.T) {
			b := newMem()
			p := newProgram()
			saveSteps(t, p, newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b}), 1, 2)
			index := storagetest.Get(t, b, "ckpt-2.index")
			looks, missed := 0, false
			away := &beforeOpen{b, "ckpt-2.index", func() {
				if looks++; looks == 2 { // it was seen
					if err := b.Remove(t.Context(), "ckpt-2.index"); err != nil {
						t.Fatal(err)
					}
				}
			}}
			back := &beforeOpen{away, "ckpt-2", func() { // the last place
				storagetest.Put(t, b, "ckpt-2.index", index)
				missed = true
			}}
			for _, v := range verify(t, &ckpt.VerifyOptions{Bucket: back}) {
				if !v.OK() {
					t.Errorf("%s: %v", v.Prefix, v.Problems)
				}
			}
			if !missed {
				t.Error("the index was not missed")
			}
		})
	}
}

// TestVerifyReplacedForever writes over a checkpoint whenever it is read: looking
// again comes to an end, and says why.
func TestVerifyReplacedForever(t *testing.T) {
	for name, verify := range verifiers {
		if name == "FindGood" {
			continue // it falls back
		}
		t.Run(name, func(t *testing.T) {
			b := newMem()
			p := newProgram()
			m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b})
			saveSteps(t, p, m, 1, 2)
			writes := 0
			h := &beforeOpen{b, dataOf("ckpt-2"), func() {
				writes++
				p.setStep(int64(writes))
				if _, err := m.SaveNumber(t.Context(), 2, nil); err != nil {
					t.Error(err)
				}
			}}
			list := verify(t, &ckpt.VerifyOptions{Bucket: h})
			v := list[len(list)-1]
			if v.OK() || !strings.Contains(v.Problems[0].Error(), "replaced") || writes > 100 {
				t.Errorf("written over %d times: got %v", writes, v.Problems)
			}
		})
	}
}

// TestVerifyDamageIsReadOnce reads damaged data no more often than good data.
func TestVerifyDamageIsReadOnce(t *testing.T) {
	b := newMem()
	p := newProgram()
	saveSteps(t, p, newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b}), 1)
	data := []byte(storagetest.Get(t, b, dataOf("ckpt-1")))
	data[0] ^= 1
	storagetest.Put(t, b, dataOf("ckpt-1"), string(data))
	opened := 0
	v, err := ckpt.Verify(t.Context(), "ckpt-1", &ckpt.VerifyOptions{Bucket: &beforeOpen{b, dataOf("ckpt-1"), func() { opened++ }}})
	if err != nil || v.OK() {
		t.Fatalf("got %+v, %v, want a problem", v, err)
	}
	if opened > 2 { // once more to recognise what lies there instead
		t.Errorf("the data file was opened %d times", opened)
	}
}
