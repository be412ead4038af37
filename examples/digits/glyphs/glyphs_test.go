package glyphs_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ckpt-go/ckpt/examples/digits/glyphs"
)

// families are the two functions that draw, and the fingerprint of 300 pictures
// with seed 1.
var families = []struct {
	name        string
	draw        func(n int, seed uint64) (*glyphs.Set, error)
	fingerprint string
}{
	{"training", glyphs.Training, "406032ba599837c6"},
	{"test", glyphs.Test, "f459bba9eff23b95"},
}

func draw(t testing.TB, f func(int, uint64) (*glyphs.Set, error), n int, seed uint64) *glyphs.Set {
	t.Helper()
	set, err := f(n, seed)
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Pixels) != n*glyphs.Count || len(set.Labels) != n {
		t.Fatalf("%d pixels and %d labels for %d pictures", len(set.Pixels), len(set.Labels), n)
	}
	return set
}

// fingerprint tells sets apart that differ in a single bit.
func fingerprint(s *glyphs.Set) string {
	h := sha256.New()
	for _, v := range s.Pixels {
		h.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)))
	}
	for _, l := range s.Labels {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(l)))
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}

// TestSameOnEveryMachine keeps the pictures as they are: on another kind of
// processor and after an update of the fonts or the rasteriser. A distortion
// changed on purpose changes the fingerprints too.
func TestSameOnEveryMachine(t *testing.T) {
	for _, f := range families {
		if got := fingerprint(draw(t, f.draw, 300, 1)); got != f.fingerprint {
			t.Errorf("%s: fingerprint %s, want %s", f.name, got, f.fingerprint)
		}
	}
}

func TestSameOnAnyNumberOfProcessors(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, f := range families {
		var want string
		for _, processors := range []int{1, 2, 7} {
			runtime.GOMAXPROCS(processors)
			got := fingerprint(draw(t, f.draw, 1001, 5))
			if want == "" {
				want = got
			}
			if got != want {
				t.Errorf("%s: fingerprint %s on %d processors, want %s", f.name, got, processors, want)
			}
		}
	}
}

func TestPictureIsTheSameInAnySet(t *testing.T) {
	for _, f := range families {
		big := draw(t, f.draw, 1000, 9)
		for _, n := range []int{0, 1, 63, 64, 65, 100} {
			small := draw(t, f.draw, n, 9)
			if !slices.Equal(small.Labels, big.Labels[:n]) {
				t.Errorf("%s: labels of %d pictures differ from those of 1000", f.name, n)
			}
			if !slices.Equal(small.Pixels, big.Pixels[:n*glyphs.Count]) {
				t.Errorf("%s: pixels of %d pictures differ from those of 1000", f.name, n)
			}
		}
	}
}

// TestPicturesDiffer finds no picture twice: not in a set, not in two sets of
// neighbouring seeds and not in the sets of both families.
func TestPicturesDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, f := range families {
		for seed := range uint64(3) {
			set := draw(t, f.draw, 1000, seed)
			for i := range set.Labels {
				var b bytes.Buffer
				if err := binary.Write(&b, binary.LittleEndian, picture(set, i)); err != nil {
					t.Fatal(err)
				}
				name := fmt.Sprintf("%s %d/%d", f.name, seed, i)
				if twin, ok := seen[b.String()]; ok {
					t.Fatalf("%s is %s", name, twin)
				}
				seen[b.String()] = name
			}
		}
	}
}

func picture(s *glyphs.Set, i int) []float32 {
	return s.Pixels[i*glyphs.Count : (i+1)*glyphs.Count]
}

// TestPixels wants grey between 0 and 1, every digit about equally often, enough
// ink for a stroke and hardly any of it on the edge of the picture.
func TestPixels(t *testing.T) {
	const n = 5000
	for _, f := range families {
		set := draw(t, f.draw, n, 3)
		var counts [10]int
		edge := 0
		for i, label := range set.Labels {
			if label < 0 || label > 9 {
				t.Fatalf("%s: label %d", f.name, label)
			}
			counts[label]++
			ink, cut := 0, false
			for j, v := range picture(set, i) {
				if !(v >= 0 && v <= 1) { // catches NaN
					t.Fatalf("%s: picture %d has a pixel of %v", f.name, i, v)
				}
				if v < 0.5 {
					continue
				}
				ink++
				x, y := j%glyphs.Side, j/glyphs.Side
				cut = cut || min(x, y) == 0 || max(x, y) == glyphs.Side-1
			}
			if ink < 15 || ink > glyphs.Count/2 {
				t.Errorf("%s: picture %d of a %d has %d dark pixels", f.name, i, label, ink)
			}
			if cut {
				edge++
			}
		}
		for digit, count := range counts {
			if count < n/10-n/50 || count > n/10+n/50 {
				t.Errorf("%s: %d times %d in %d pictures", f.name, count, digit, n)
			}
		}
		if edge > n/50 {
			t.Errorf("%s: %d of %d pictures reach the edge", f.name, edge, n)
		}
	}
}

// TestLabelsFit classifies unseen pictures by the nearest mean of the training
// pictures. Ten means are a poor classifier, but wrong labels would leave it
// with one hit in ten.
func TestLabelsFit(t *testing.T) {
	const n, unseen, want = 5000, 1000, 0.6
	set := draw(t, glyphs.Training, n, 1)
	var means [10][glyphs.Count]float64
	var counts [10]float64
	for _, label := range set.Labels {
		counts[label]++
	}
	for i, label := range set.Labels {
		for j, v := range picture(set, i) {
			means[label][j] += float64(v) / counts[label]
		}
	}
	for _, f := range families {
		set, hits := draw(t, f.draw, unseen, 2), 0
		for i, label := range set.Labels {
			best, nearest := math.Inf(1), 0
			for digit := range means {
				distance := 0.0
				for j, v := range picture(set, i) {
					d := float64(v) - means[digit][j]
					distance += d * d
				}
				if distance < best {
					best, nearest = distance, digit
				}
			}
			if int64(nearest) == label {
				hits++
			}
		}
		if got := float64(hits) / unseen; got < want {
			t.Errorf("%s: %.3f of the pictures are nearest to their own mean, want %v", f.name, got, want)
		}
	}
}

func TestBadCount(t *testing.T) {
	for _, f := range families {
		for _, n := range []int{-1, math.MinInt, math.MaxInt} {
			if set, err := f.draw(n, 1); err == nil || set != nil {
				t.Errorf("%s: %d pictures: set %v, error %v", f.name, n, set, err)
			}
		}
	}
}

func TestDrawAtOnce(t *testing.T) {
	want := fingerprint(draw(t, glyphs.Test, 200, 1))
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			set, err := glyphs.Test(200, 1)
			if err != nil {
				t.Error(err)
			} else if got := fingerprint(set); got != want {
				t.Errorf("fingerprint %s, want %s", got, want)
			}
		})
	}
	wait.Wait()
}

func TestPrint(t *testing.T) {
	pixels := make([]float32, 2*glyphs.Count)
	pixels[0] = 1                              // first picture: upper left,
	pixels[glyphs.Side+1] = 0.5                // beside it in the lower row
	pixels[glyphs.Count-1] = 0.49              // too pale
	pixels[glyphs.Count+2] = 1                 // second picture: one above
	pixels[glyphs.Count+2+glyphs.Side] = 1     // the other
	pixels[2*glyphs.Count-glyphs.Side-1] = 0.7 // last but one row
	var b strings.Builder
	if err := glyphs.Print(&b, pixels); err != nil {
		t.Fatal(err)
	}
	space := func(n int) string { return strings.Repeat(" ", n) }
	want := "▀▄" + space(26) + " " + space(2) + "█" + space(25) + "\n" +
		strings.Repeat(space(57)+"\n", 12) +
		space(56) + "▀\n"
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func TestPrintErrors(t *testing.T) {
	for _, n := range []int{0, 1, glyphs.Count - 1, glyphs.Count + 1} {
		if err := glyphs.Print(&bytes.Buffer{}, make([]float32, n)); err == nil {
			t.Errorf("no error for %d pixels", n)
		}
	}
	want := errors.New("broken pipe")
	if got := glyphs.Print(brokenWriter{want}, make([]float32, glyphs.Count)); !errors.Is(got, want) {
		t.Errorf("error %v, want %v", got, want)
	}
}

func BenchmarkTraining(b *testing.B) {
	const n = 30_000
	b.SetBytes(n * glyphs.Count * 4)
	for b.Loop() {
		draw(b, glyphs.Training, n, 1)
	}
}
