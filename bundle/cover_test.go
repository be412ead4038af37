package bundle_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

// vast is a file of that many zeros.
type vast int64

func (v vast) Size() int64  { return int64(v) }
func (v vast) Close() error { return nil }
func (v vast) ReadAt(p []byte, off int64) (int, error) {
	n := max(0, min(int64(len(p)), int64(v)-off))
	clear(p[:n])
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

// vastData is a bucket whose data files are vast.
type vastData struct{ storage.Bucket }

func (v vastData) Open(ctx context.Context, name string) (storage.File, error) {
	if strings.Contains(name, ".data-") {
		return vast(1 << 50), nil
	}
	return v.Bucket.Open(ctx, name)
}

// putSliced stores the index of a uint8 tensor x in slices, whose bytes follow
// each other in one data file.
func putSliced(t testing.TB, b storage.Bucket, shape tensor.Shape, all ...bundle.Slice) {
	t.Helper()
	entries := map[string]bundle.Entry{"x": {DType: tensor.Uint8, Shape: shape, Slices: all}}
	off := int64(0)
	for _, s := range all {
		part, err := s.Shape(shape)
		if err != nil {
			t.Fatal(err)
		}
		n, _ := part.Elements()
		entries[bundle.EncodeSliceKey("x", s)] = bundle.Entry{DType: tensor.Uint8, Shape: part, Offset: off, Size: n}
		off += n
	}
	putIndex(t, b, "p.index", bundle.Header{NumShards: 1, Producer: 1}, entries)
}

// findings joins what CheckLayout finds.
func findings(t testing.TB, r *bundle.Reader) string {
	t.Helper()
	var found []string
	for c := range r.CheckLayout(t.Context()) {
		found = append(found, c.Error())
	}
	return strings.Join(found, "\n")
}

// wantFindings checks that CheckLayout finds what contains want, or nothing.
func wantFindings(t testing.TB, r *bundle.Reader, want string) {
	t.Helper()
	if got := findings(t, r); got != "" && want == "" || !strings.Contains(got, want) {
		t.Errorf("got findings %q, want %q", got, want)
	}
}

// Whether slices cover a tensor is checked in memory that does not depend on the
// size of the tensor: files with holes can have any size.
func TestVastSlices(t *testing.T) {
	const size, half = int64(1 << 49), int64(1 << 48)
	for spec, want := range map[string]string{
		fmt.Sprintf("0,%d %d,%d", half, half, half):     "",
		fmt.Sprintf("0,%d %d,%d", half, half-1, half):   "Overlapping slices",
		fmt.Sprintf("0,%d %d,%d", half, half-1, half+1): "Overlapping slices",
		fmt.Sprintf("0,%d %d,%d", half, half+1, half-1): "does not have sufficient slices",
	} {
		b := vastData{mem.New()}
		var all []bundle.Slice
		for part := range strings.FieldsSeq(spec) {
			all = append(all, parse(t, part))
		}
		putSliced(t, b, tensor.Shape{size}, all...)
		r := open(t, b, "p")
		used := allocates(func() {
			wantFindings(t, r, want)
			_, err := r.Tensor(t.Context(), "x")
			if want == "" {
				wantErr(t, err, errors.ErrUnsupported, "larger than this machine's address space")
			} else {
				wantErr(t, err, bundle.ErrCorrupt, want)
			}
		})
		wantAtMost(t, used, 0, nil)
	}
}

// A tensor that no machine can hold is refused, also if its file has that many
// bytes.
func TestVastTensors(t *testing.T) {
	b := vastData{mem.New()}
	putIndex(t, b, "p.index", bundle.Header{NumShards: 1, Producer: 1}, map[string]bundle.Entry{
		"numbers": {DType: tensor.Float64, Shape: tensor.Shape{1 << 47}, Size: 1 << 50},
		"strings": {DType: tensor.String, Shape: tensor.Shape{1 << 49}, Size: 1 << 50},
		"product": {DType: tensor.Float64, Shape: tensor.Shape{1 << 61}, Slices: slicesOf(1, parse(t, "-"))},
		"sum":     {DType: tensor.Uint8, Shape: tensor.Shape{1 << 62}, Slices: slicesOf(3, parse(t, "-"))},
	})
	r := open(t, b, "p")
	for key, want := range map[string]struct {
		class error
		word  string
	}{
		"numbers": {errors.ErrUnsupported, "larger than"}, "strings": {errors.ErrUnsupported, "larger than"},
		"product": {bundle.ErrCorrupt, "too large"}, "sum": {bundle.ErrCorrupt, "Overlapping slices: existing slice = -"},
	} {
		used := allocates(func() {
			_, err := r.Tensor(t.Context(), key)
			wantErr(t, err, want.class, want.word)
		})
		wantAtMost(t, used, 0, nil)
	}
}

// More slices than would be compared with each other.
func TestManySlices(t *testing.T) {
	for name, test := range map[string]struct {
		n, slices, skip int64
		add, want       string
	}{
		"whole":        {3000, 3000, -1, "", ""},
		"hole":         {3000, 3000, 2999, "", "2999 of 3000 elements"},
		"overlap":      {3000, 3000, 2998, "2998,2", "Overlapping slices: existing slice = 2999,1, new slice = 2998,2"},
		"late overlap": {10_000, 9999, 9998, "9997,2", "Overlapping slices: there are 9999"},
		"vast":         {1 << 60, 3000, -1, "", "3000 of 1152921504606846976 elements"},
	} {
		t.Run(name, func(t *testing.T) {
			b := mem.New()
			var all []bundle.Slice
			for i := range test.slices {
				if i != test.skip {
					all = append(all, bundle.Slice{{Start: i, Length: 1}})
				}
			}
			if test.add != "" {
				all = append(all, parse(t, test.add))
			}
			putSliced(t, b, tensor.Shape{test.n}, all...)
			put(t, b, "p.data-00000-of-00001", make([]byte, 10_001))
			wantFindings(t, open(t, b, "p"), test.want)
		})
	}
}

// Slices are a claim too: what is allocated follows the bytes of the index.
func TestSliceMemory(t *testing.T) {
	const n = 20_000
	small := make([]bundle.Slice, n)
	for i := range small {
		small[i] = bundle.Slice{{Start: int64(i), Length: 1}}
	}
	quarters := func(size int64) (all []bundle.Slice) {
		for i := range int64(4) {
			all = append(all, bundle.Slice{{Start: i * size / 4, Length: size / 4}})
		}
		return all
	}
	for name, test := range map[string]struct {
		shape tensor.Shape
		all   []bundle.Slice
		bytes int
		want  string
	}{
		"cover":        {tensor.Shape{n}, small, n, ""},
		"few of many":  {tensor.Shape{1 << 60}, small, n, "does not have sufficient slices"},
		"empty, again": {tensor.Shape{0}, slicesOf(n, bundle.Slice{{Full: true}}), 0, ""},
		"at 5, again":  {tensor.Shape{n}, append(slicesOf(n, bundle.Slice{{Start: 5}}), bundle.Slice{{Full: true}}), n, ""},
		"short file":   {tensor.Shape{1 << 40}, quarters(1 << 40), 1 << 10, "read less bytes than requested"},
		"vast, a hole": {tensor.Shape{1 << 40}, quarters(1 << 40)[1:], 1 << 10, "does not have sufficient slices"},
	} {
		t.Run(name, func(t *testing.T) {
			b := mem.New()
			putSliced(t, b, test.shape, test.all...)
			put(t, b, "p.data-00000-of-00001", make([]byte, test.bytes))
			r := open(t, b, "p")
			used := allocates(func() {
				e, err := r.Entry("x")
				if err == nil {
					err = r.CheckEntry(t.Context(), "x", &e)
				}
				if err != nil && test.want == "" || err == nil && test.want != "" || err != nil && !strings.Contains(err.Error(), test.want) {
					t.Errorf("got error %v, want %q", err, test.want)
				}
			})
			t.Logf("%.1f bytes for each byte of the index", float64(used)/float64(len(get(t, b, "p.index"))))
			wantAtMost(t, used, 64, get(t, b, "p.index"))
		})
	}
}

func slicesOf(n int, s bundle.Slice) []bundle.Slice {
	all := make([]bundle.Slice, n)
	for i := range all {
		all[i] = s
	}
	return all
}

// Entries that share bytes would make much of a small file.
func TestSharedBytes(t *testing.T) {
	const size, parts = 1 << 16, 64
	b := mem.New()
	entries := map[string]bundle.Entry{}
	whole := bundle.Entry{DType: tensor.Uint8, Shape: tensor.Shape{parts, size}}
	for i := range int64(parts) {
		s := bundle.Slice{{Start: i, Length: 1}, {Full: true}}
		whole.Slices = append(whole.Slices, s)
		entries[bundle.EncodeSliceKey("x", s)] = bundle.Entry{DType: tensor.Uint8, Shape: tensor.Shape{1, size}, Size: size, CRC: crcZeros(size)}
	}
	entries["x"] = whole
	putIndex(t, b, "p.index", bundle.Header{NumShards: 1, Producer: 1}, entries)
	put(t, b, "p.data-00000-of-00001", make([]byte, size))
	r := open(t, b, "p")
	used := allocates(func() {
		_, err := r.Tensor(t.Context(), "x")
		wantErr(t, err, bundle.ErrCorrupt, "the slices claim more bytes")
	})
	wantAtMost(t, used, 0, nil)
}

// TestCover cuts small tensors into slices, damages some of the cuts, and
// compares what is found with a count of every element.
func TestCover(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	good := 0
	for range 1500 {
		shape := make(tensor.Shape, rng.IntN(5))
		whole := make(bundle.Slice, len(shape))
		for i := range shape {
			shape[i] = 1 + rng.Int64N(4)
			whole[i].Length = shape[i]
		}
		all := damage(rng, shape, cutUp(rng, whole))
		want := countCover(shape, all)
		if want == "" {
			good++
		}
		b := mem.New()
		putSliced(t, b, shape, all...)
		put(t, b, "p.data-00000-of-00001", make([]byte, 1<<12))
		if got := findings(t, open(t, b, "p")); got != "" && want == "" || !strings.Contains(got, want) {
			t.Fatalf("%s in %s: got findings %q, want %q", shape, all, got, want)
		}
	}
	if good < 300 || good > 1200 {
		t.Errorf("%d of 1500 are whole", good)
	}
}

// cutUp cuts a rectangle into some that cover it.
func cutUp(rng *rand.Rand, s bundle.Slice) []bundle.Slice {
	if len(s) == 0 || rng.IntN(5) == 0 {
		return []bundle.Slice{s}
	}
	dim := rng.IntN(len(s))
	if s[dim].Length < 2 {
		return []bundle.Slice{s}
	}
	at := 1 + rng.Int64N(s[dim].Length-1)
	first, second := append(bundle.Slice(nil), s...), append(bundle.Slice(nil), s...)
	first[dim].Length = at
	second[dim].Start += at
	second[dim].Length -= at
	return append(cutUp(rng, first), cutUp(rng, second)...)
}

// damage mixes slices, spells some extents otherwise, and in half of the cases
// moves, stretches, repeats or loses one.
func damage(rng *rand.Rand, shape tensor.Shape, all []bundle.Slice) []bundle.Slice {
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, s := range all {
		for dim := range s {
			if s[dim].Length == shape[dim] && rng.IntN(2) == 0 {
				s[dim] = bundle.Extent{Full: true}
			}
		}
	}
	i := rng.IntN(len(all))
	switch rng.IntN(8) {
	case 0:
		if len(all) > 1 {
			return append(all[:i], all[i+1:]...)
		}
	case 1:
		return append(all, all[i])
	case 2, 3:
		if len(shape) > 0 {
			dim := rng.IntN(len(shape))
			start := rng.Int64N(shape[dim])
			all[i][dim] = bundle.Extent{Start: start, Length: 1 + rng.Int64N(shape[dim]-start)}
		}
	}
	return all
}

// countCover says what must be found of slices.
func countCover(shape tensor.Shape, all []bundle.Slice) string {
	total, _ := shape.Elements()
	stored := int64(0)
	counts := make([]int, total)
	ids := make([]byte, total)
	for i := range ids {
		ids[i] = byte(i) // at most 256 elements
	}
	for _, s := range all {
		for _, id := range cut(shape, s, 1, ids) {
			counts[id]++
			stored++
		}
	}
	for _, n := range counts {
		switch {
		case n == 1:
		case stored < total:
			return fmt.Sprintf("%d of %d elements are stored", stored, total)
		default:
			return "Overlapping slices: existing slice = "
		}
	}
	return ""
}
