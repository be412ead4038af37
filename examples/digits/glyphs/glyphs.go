// Package glyphs draws the pictures that examples/digits learns from: the digits
// 0 to 9 in grey on 28×28 pixels, from outlines of the Go fonts, shifted, turned,
// stretched, thickened or thinned and covered with noise. Nothing is downloaded.
//
// [Training] draws from the six cuts of the proportional family that differ in
// their digits: Go Regular, Medium and Bold, upright and italic. [Test] draws from
// the four cuts of Go Mono, which training never sees. Go Mono has slab serifs
// where the other family has none (the 1, the 4), strokes of another weight and
// other widths; the slash through the zero is common to both. The two families
// are by the same designers and akin, so the accuracy on Go Mono says that a
// network learned digits and not one font, not that it would read handwriting.
//
// Picture i of a set is a function of the seed and i alone: it is the same in a
// set of any size, on any number of processors and in every run.
package glyphs

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
)

// The shape of a picture, and the number of its pixels.
const (
	Side  = 28
	Count = Side * Side
)

// Set is pictures and their labels. It belongs to the caller.
type Set struct {
	Pixels []float32 // n × 784, row by row, 0 is paper and 1 is ink
	Labels []int64   // n digits, 0 to 9
}

// Training draws n pictures from the fonts for training. A negative n is an error,
// and so is a font that cannot be read. It is safe for concurrent use.
func Training(n int, seed uint64) (*Set, error) {
	return render(n, seed, trainingFonts)
}

// Test draws n pictures from Go Mono, distorted as those of [Training] are. With
// the seed of a training set it draws the same digits, distorted alike, so that
// another seed makes a better test. Otherwise it is like Training.
func Test(n int, seed uint64) (*Set, error) {
	return render(n, seed, testFonts)
}

// chunk is how many pictures a worker takes at a time.
const chunk = 64

func render(n int, seed uint64, load func() ([]face, error)) (*Set, error) {
	if n < 0 || n > math.MaxInt/Count {
		return nil, fmt.Errorf("glyphs: %d pictures", n)
	}
	faces, err := load()
	if err != nil {
		return nil, err
	}
	set := &Set{Pixels: make([]float32, n*Count), Labels: make([]int64, n)}
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), (n+chunk-1)/chunk) {
		workers.Go(func() {
			p := newPress(faces)
			for {
				end := int(next.Add(chunk))
				for i := end - chunk; i < min(end, n); i++ {
					set.Labels[i] = p.print(set.Pixels[i*Count:(i+1)*Count], seed, uint64(i))
				}
				if end >= n {
					return
				}
			}
		})
	}
	workers.Wait()
	return set, nil
}

// Print writes pictures side by side as text of 14 lines, two rows of pixels in
// each, so that they look square in a terminal. A picture takes 28 columns, and
// there is one between two. The pixels are those of one or more whole pictures
// of a [Set]; another number of them is an error.
func Print(w io.Writer, pixels []float32) error {
	if len(pixels) == 0 || len(pixels)%Count != 0 {
		return fmt.Errorf("glyphs: %d pixels are not pictures of %d", len(pixels), Count)
	}
	var text []byte
	for y := 0; y < Side; y += 2 {
		for at := y * Side; at < len(pixels); at += Count {
			if at >= Count {
				text = append(text, ' ')
			}
			for x := range Side {
				text = append(text, block(pixels[at+x] >= 0.5, pixels[at+Side+x] >= 0.5)...)
			}
		}
		text = append(text, '\n')
	}
	_, err := w.Write(text)
	return err
}

// block is the character that shows one pixel above another.
func block(upper, lower bool) string {
	switch {
	case upper && lower:
		return "█"
	case upper:
		return "▀"
	case lower:
		return "▄"
	}
	return " "
}
