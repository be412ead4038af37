package glyphs

import (
	"fmt"
	"math"
	"sync"

	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gobolditalic"
	"golang.org/x/image/font/gofont/goitalic"
	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/font/gofont/gomediumitalic"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/gomonobold"
	"golang.org/x/image/font/gofont/gomonobolditalic"
	"golang.org/x/image/font/gofont/gomonoitalic"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// The outlines are read once in the life of a program and never written again.
// Go Small Caps is left out: its digits are those of Go Regular.
var (
	trainingFonts = sync.OnceValues(func() ([]face, error) {
		return readFaces(goregular.TTF, gomedium.TTF, gobold.TTF,
			goitalic.TTF, gomediumitalic.TTF, gobolditalic.TTF)
	})
	testFonts = sync.OnceValues(func() ([]face, error) {
		return readFaces(gomono.TTF, gomonobold.TTF, gomonoitalic.TTF, gomonobolditalic.TTF)
	})
)

// face is the outlines of the ten digits in one font.
type face [10]outline

// outline is the contours of a digit, in ems, with the middle of its bounding box
// at the origin and y growing downwards.
type outline []contour

// contour is a closed chain of straight lines, its last knot joined to the first.
type contour []knot

// pieces is how many lines stand for a curve. The curves of a digit are a few
// pixels long, so that more would show nowhere.
const pieces = 4

// knot is a corner of a contour and where it goes when the stroke is widened by
// one em on each side.
type knot struct {
	x, y   float64
	dx, dy float64
}

func readFaces(files ...[]byte) ([]face, error) {
	faces := make([]face, len(files))
	for i, file := range files {
		f, err := sfnt.Parse(file)
		if err != nil {
			return nil, fmt.Errorf("glyphs: font %d: %w", i, err)
		}
		for digit := range faces[i] {
			if faces[i][digit], err = readDigit(f, digit); err != nil {
				return nil, fmt.Errorf("glyphs: font %d, digit %d: %w", i, digit, err)
			}
		}
	}
	return faces, nil
}

func readDigit(f *sfnt.Font, digit int) (outline, error) {
	var b sfnt.Buffer
	index, err := f.GlyphIndex(&b, rune('0'+digit))
	if err != nil {
		return nil, err
	}
	units := f.UnitsPerEm()
	segments, err := f.LoadGlyph(&b, index, fixed.Int26_6(units), nil)
	if err != nil {
		return nil, err
	}
	bounds := segments.Bounds()
	at := func(p fixed.Point26_6) knot {
		return knot{
			x: (float64(p.X) - float64(bounds.Min.X+bounds.Max.X)/2) / float64(units),
			y: (float64(p.Y) - float64(bounds.Min.Y+bounds.Max.Y)/2) / float64(units),
		}
	}
	var o outline
	for _, s := range segments {
		last := len(o) - 1
		switch s.Op {
		case sfnt.SegmentOpMoveTo:
			o = append(o, contour{at(s.Args[0])})
		case sfnt.SegmentOpLineTo:
			o[last] = o[last].line(at(s.Args[0]))
		case sfnt.SegmentOpQuadTo:
			o[last] = o[last].curve(at(s.Args[0]), at(s.Args[1]))
		default:
			return nil, fmt.Errorf("segment of kind %d", s.Op)
		}
	}
	for i, c := range o {
		if end := len(c) - 1; c[end] == c[0] {
			o[i] = c[:end]
		}
		o[i].aim()
	}
	return o, nil
}

// line goes on to a knot, or stays if the contour is there already.
func (c contour) line(to knot) contour {
	if c[len(c)-1] == to {
		return c
	}
	return append(c, to)
}

// curve goes on to a knot in a quadratic curve.
func (c contour) curve(control, to knot) contour {
	from := c[len(c)-1]
	for i := range pieces {
		t := float64(i+1) / pieces
		a, b, d := (1-t)*(1-t), 2*t*(1-t), t*t
		c = c.line(knot{
			x: float64(a*from.x) + float64(b*control.x) + float64(d*to.x),
			y: float64(a*from.y) + float64(b*control.y) + float64(d*to.y),
		})
	}
	return c
}

// aim finds the direction in which each knot moves when the stroke widens: along
// the bisector of its neighbours' edges, as far as it takes to move both edges by
// the same distance, but never further than twice that.
func (c contour) aim() {
	for i := range c {
		before, k, after := &c[(i+len(c)-1)%len(c)], &c[i], &c[(i+1)%len(c)]
		ax, ay := normal(before, k)
		bx, by := normal(k, after)
		k.dx, k.dy = miter(ax+bx, ay+by)
	}
}

// normal is the unit vector that points out of the ink beside the edge from a to
// b: to its left, because TrueType keeps the ink on the right.
func normal(a, b *knot) (x, y float64) {
	x, y = b.y-a.y, a.x-b.x
	length := math.Sqrt(float64(x*x) + float64(y*y)) // not 0: neighbours differ
	return x / length, y / length
}

// miter is the vector along the sum of two unit vectors that reaches as far as
// either of them in its own direction, cut off at length 2.
func miter(x, y float64) (dx, dy float64) {
	square := float64(x*x) + float64(y*y)
	switch {
	case square == 0:
		return 0, 0
	case square < 1:
		length := math.Sqrt(square)
		return 2 * x / length, 2 * y / length
	}
	return 2 * x / square, 2 * y / square
}
