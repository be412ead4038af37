package ckpt_test

import (
	"strconv"
	"testing"

	"github.com/ckpt-go/ckpt"
)

// many is a checkpoint of one list with 100,000 scalar variables, each set to
// first plus its number.
func many(first float32) (*ckpt.Checkpoint, []*ckpt.Variable[float32]) {
	const n = 100_000
	list := new(ckpt.List)
	vars := make([]*ckpt.Variable[float32], n)
	err := list.TrackAll(func(yield func(string, ckpt.Trackable) bool) {
		for i := range vars {
			vars[i] = ckpt.NewScalar("v", first+float32(i))
			if !yield(strconv.Itoa(i), vars[i]) {
				return
			}
		}
	})
	if err != nil {
		panic(err)
	}
	return ckpt.New(ckpt.Objects{"list": list}), vars
}

func BenchmarkMany(b *testing.B) {
	c, vars := many(0)
	prefix := b.TempDir() + "/c"
	if _, err := c.Write(b.Context(), prefix, nil); err != nil {
		b.Fatal(err)
	}
	b.Run("save", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.Write(b.Context(), prefix, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, inPlace := range []bool{false, true} {
		b.Run("restore/inplace="+strconv.FormatBool(inPlace), func(b *testing.B) {
			for b.Loop() {
				if _, err := c.Read(b.Context(), prefix, &ckpt.RestoreOptions{InPlace: inPlace}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	if got := vars[7].Value(); got != 7 {
		b.Errorf("got %v, want 7", got)
	}
	b.Run("deferred/all", func(b *testing.B) {
		for b.Loop() {
			list := new(ckpt.List)
			if _, err := ckpt.New(ckpt.Objects{"list": list}).Read(b.Context(), prefix, nil); err != nil {
				b.Fatal(err)
			}
			err := list.TrackAll(func(yield func(string, ckpt.Trackable) bool) {
				for i := range vars {
					if !yield(strconv.Itoa(i), ckpt.NewScalar("v", float32(0))) {
						return
					}
				}
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("deferred/append", func(b *testing.B) {
		for b.Loop() {
			list := new(ckpt.List)
			if _, err := ckpt.New(ckpt.Objects{"list": list}).Read(b.Context(), prefix, nil); err != nil {
				b.Fatal(err)
			}
			for range vars {
				if err := list.Append(ckpt.NewScalar("v", float32(0))); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
