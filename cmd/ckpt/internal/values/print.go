package values

import (
	"io"
	"strings"
	"unicode/utf8"
)

// Options are those of Print; nil means the zero value.
type Options struct {
	// All prints every element and all of each string; otherwise of more than 1000
	// elements only the first and last three of each dimension, and of a string the
	// first 1000 bytes.
	All bool
}

const (
	printedWhole = 1000 // numpy's threshold
	edgeItems    = 3    // numpy's edgeitems
	lineWidth    = 75   // numpy's linewidth
	stringBytes  = 1000
	maxRank      = 254 // TensorFlow's
)

// Print writes the elements with brackets around each dimension, as numpy does.
func Print(w io.StringWriter, l *List, o *Options) error {
	p := &printer{w: w, shape: l.shape}
	shown := *l
	p.list = &shown
	if o == nil || !o.All {
		p.list.clip = stringBytes
		p.summarise = l.Len() > printedWhole
	}
	if len(l.shape) > maxRank {
		p.shape = []int64{int64(l.Len())}
	}
	if l.Len() == 0 {
		p.write("[]\n")
		return p.err
	}
	p.strides = make([]int, len(p.shape))
	stride := 1
	for d := len(p.shape) - 1; d >= 0; d-- {
		p.strides[d] = stride
		stride *= int(p.shape[d])
	}
	if !l.isBytes() {
		p.measure = true
		p.block(0, 0)
		p.measure = false
	}
	p.block(0, 0)
	p.write("\n")
	return p.err
}

type printer struct {
	w         io.StringWriter
	list      *List
	shape     []int64
	strides   []int
	summarise bool
	measure   bool // find the width, print nothing
	width     int
	buf       []byte
	err       error
}

func (p *printer) write(s string) {
	if p.err == nil && !p.measure {
		_, p.err = p.w.WriteString(s)
	}
}

func (p *printer) element(i int) string {
	p.buf = p.list.AppendText(p.buf[:0], i)
	return string(p.buf)
}

// block prints what lies below one index of each of the first dim dimensions. It
// calls itself once for each dimension, of which there are 254 at most.
func (p *printer) block(dim, first int) {
	if p.err != nil {
		return
	}
	if dim == len(p.shape) {
		p.write(p.element(first))
		return
	}
	p.write("[")
	last := dim == len(p.shape)-1
	column := dim + 1
	n := int(p.shape[dim])
	for i := 0; i < n; i++ {
		gap := p.summarise && n > 2*edgeItems && i == edgeItems
		if gap {
			i = n - edgeItems
		}
		switch {
		case last:
			if gap {
				column = p.item(dim, column, "...", false)
			}
			column = p.item(dim, column, p.element(first+i), i == 0)
		default:
			if i > 0 {
				p.nextRow(dim)
			}
			if gap {
				p.write("...")
				p.nextRow(dim)
			}
			p.block(dim+1, first+i*p.strides[dim])
		}
	}
	p.write("]")
}

// nextRow starts a new line, after an empty one for each dimension further in.
func (p *printer) nextRow(dim int) {
	p.write(strings.Repeat("\n", len(p.shape)-dim-1) + strings.Repeat(" ", dim+1))
}

// item prints one element of a row, on a new line if it does not fit on this one, and
// returns the column behind it.
func (p *printer) item(dim, column int, text string, first bool) int {
	n := utf8.RuneCountInString(text)
	if p.measure {
		if text != "..." {
			p.width = max(p.width, n)
		}
		return column
	}
	if text != "..." {
		text = strings.Repeat(" ", max(0, p.width-n)) + text
		n = max(n, p.width)
	}
	switch {
	case first:
	case column+1+n > lineWidth-(dim+1): // room for the closing brackets
		p.write("\n" + strings.Repeat(" ", dim+1))
		column = dim + 1
	default:
		p.write(" ")
		column++
	}
	p.write(text)
	return column + n
}
