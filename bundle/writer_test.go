package bundle_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

func TestWriterRefuses(t *testing.T) {
	long := make(tensor.Shape, 255)
	for i := range long {
		long[i] = 1
	}
	changing := func() func(yield func([]byte) bool) {
		pass := 0
		return func(yield func([]byte) bool) {
			pass++
			if pass == 1 {
				yield([]byte("ab"))
			} else {
				yield([]byte("b"))
			}
		}
	}()
	for _, c := range []struct {
		name string
		add  func(ctx context.Context, w *bundle.Writer) error
		want string
	}{
		{"empty key", func(ctx context.Context, w *bundle.Writer) error {
			return w.Add(ctx, "", tensor.Int8, nil, one([]byte{1}))
		}, "empty string"},
		{"too few bytes", func(ctx context.Context, w *bundle.Writer) error {
			return w.Add(ctx, "x", tensor.Int32, tensor.Shape{2}, one([]byte{1, 2, 3}))
		}, "3 bytes are no int32 tensor of shape [2]"},
		{"too many bytes", func(ctx context.Context, w *bundle.Writer) error {
			return w.Add(ctx, "x", tensor.Int8, tensor.Shape{2}, one([]byte{1, 2, 3}))
		}, "more bytes than the 2"},
		{"negative dimension", func(ctx context.Context, w *bundle.Writer) error {
			return w.Add(ctx, "x", tensor.Int8, tensor.Shape{-1}, one(nil))
		}, "invalid tensor shape"},
		{"rank", func(ctx context.Context, w *bundle.Writer) error {
			return w.Add(ctx, "x", tensor.Int8, long, one([]byte{1}))
		}, "invalid tensor shape"},
		{"size beyond int64", func(ctx context.Context, w *bundle.Writer) error {
			return w.Add(ctx, "x", tensor.Int64, tensor.Shape{1 << 61}, one(nil))
		}, "too large"},
		{"string as fixed", func(ctx context.Context, w *bundle.Writer) error {
			return w.Add(ctx, "x", tensor.String, nil, one(nil))
		}, "no fixed size"},
		{"resource", func(ctx context.Context, w *bundle.Writer) error {
			return w.Add(ctx, "x", tensor.Resource, nil, one(nil))
		}, "no fixed size"},
		{"too few strings", func(ctx context.Context, w *bundle.Writer) error {
			return w.AddStrings(ctx, "x", tensor.Shape{3}, text("a", "b"))
		}, "2 elements are no tensor of shape [3]"},
		{"too many strings", func(ctx context.Context, w *bundle.Writer) error {
			return w.AddStrings(ctx, "x", nil, text("a", "b"))
		}, "more elements than the 1"},
		{"strings that change", func(ctx context.Context, w *bundle.Writer) error {
			return w.AddStrings(ctx, "x", nil, changing)
		}, "changed between"},
		{"too few variants", func(ctx context.Context, w *bundle.Writer) error {
			return w.AddVariants(ctx, "x", tensor.Shape{3}, text("a", "b"))
		}, "2 elements are no tensor of shape [3]"},
		{"cancelled", func(ctx context.Context, w *bundle.Writer) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return w.Add(ctx, "x", tensor.Int8, nil, one([]byte{1}))
		}, "canceled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New()
			w, err := bundle.Create(t.Context(), b, "p", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Abort()
			first := c.add(t.Context(), w)
			if first == nil || !strings.Contains(first.Error(), c.want) {
				t.Fatalf("got error %v, want %q", first, c.want)
			}
			if err := w.Add(t.Context(), "y", tensor.Int8, nil, one([]byte{1})); err != first {
				t.Errorf("got error %v after it, want the same", err)
			}
			if err := w.Commit(t.Context()); !errors.Is(err, first) {
				t.Errorf("Commit: got error %v, want the same", err)
			}
			if got := files(t, b); len(got) > 0 {
				t.Errorf("got files %q, want none", got)
			}
		})
	}
}

func TestWriterFinished(t *testing.T) {
	b := mem.New()
	w, err := bundle.Create(t.Context(), b, "p", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Abort(); err != nil {
		t.Errorf("Abort after Commit: %v", err)
	}
	if err := w.Commit(t.Context()); err == nil {
		t.Error("a second Commit succeeded")
	}
	if err := w.Add(t.Context(), "y", tensor.Int8, nil, one([]byte{1})); err == nil {
		t.Error("Add after Commit succeeded")
	}
	if got := keys(t, open(t, b, "p")); len(got) > 0 {
		t.Errorf("got keys %q, want none", got)
	}
}

// TestOrder adds keys in all kinds of order: the index sorts them by their
// bytes.
func TestOrder(t *testing.T) {
	for _, order := range [][]string{
		{"only"},
		{"b", "a"},
		{"a", "ab", "a\x00", "a\x00\x00", "a\xff"},
		{"model/layer_10/kernel", "model/layer_1/kernel", "model/layer_1/bias", "model/layer_1", "model/layer_2"},
		{"model/long prefix 1 a", "model/long prefix 1", "model/long prefix 1 b", "model/long prefix 0", "model"},
		{"\xff\xff", "\xff", "~", "", "A", "a", "_", "0"},
	} {
		b := mem.New()
		var all []named
		for _, key := range order {
			if key != "" {
				all = append(all, add(t, key, nil, int32(len(all))))
			}
		}
		mustSave(t, b, "p", all...)
		var want []string
		for _, n := range all {
			want = append(want, n.key)
		}
		slices.Sort(want)
		r := open(t, b, "p")
		if got := keys(t, r); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		for i, n := range all {
			if got := values[int32](t, r, n.key); got[0] != int32(i) {
				t.Errorf("%q: got %v, want %d", n.key, got, i)
			}
		}
	}
}

// TestChunks writes the same bytes cut in several ways.
func TestChunks(t *testing.T) {
	data := make([]byte, 3<<20+5)
	for i := range data {
		data[i] = byte(i * i >> 7)
	}
	shape := tensor.Shape{int64(len(data))}
	b := mem.New()
	mustSave(t, b, "whole", named{"x", mustRaw(t, tensor.Uint8, shape, data)})
	for _, size := range []int{1 << 10, 262143, 262144, 262145, 1 << 20} {
		w, err := bundle.Create(t.Context(), b, "cut", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add(t.Context(), "x", tensor.Uint8, shape, slices.Chunk(data, size)); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(get(t, b, "cut.index"), get(t, b, "whole.index")) || !bytes.Equal(get(t, b, "cut.data-00000-of-00001"), data) {
			t.Errorf("chunks of %d bytes give other files", size)
		}
	}
}

func mustRaw(t testing.TB, d tensor.DType, shape tensor.Shape, data []byte) *tensor.Tensor {
	t.Helper()
	v, err := tensor.New(d, shape, data)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestParallelRead reads a tensor that is large enough to be cut, whole and
// with each part damaged.
func TestParallelRead(t *testing.T) {
	data := make([]byte, 40<<20+3)
	for i := range data {
		data[i] = byte(i >> 3)
	}
	b := mem.New()
	mustSave(t, b, "p", named{"a", mustRaw(t, tensor.Uint8, tensor.Shape{7}, data[:7])},
		named{"x", mustRaw(t, tensor.Uint8, tensor.Shape{int64(len(data))}, data)})
	got := make([]byte, len(data))
	r := open(t, b, "p")
	if err := r.ReadInto(t.Context(), "x", got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, data) {
		t.Error("got other bytes than were written")
	}
	if err := r.Check(t.Context(), "x"); err != nil {
		t.Error(err)
	}
	file := get(t, b, "p.data-00000-of-00001")
	for _, off := range []int{7, len(file) / 2, len(file) - 1} {
		file[off] ^= 1
		put(t, b, "p.data-00000-of-00001", file)
		file[off] ^= 1
		r := open(t, b, "p")
		wantErr(t, r.ReadInto(t.Context(), "x", got), bundle.ErrCorrupt, "Checksum does not match")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, r.ReadInto(ctx, "x", got), context.Canceled)
}
