package ckpt

import (
	"context"
	"errors"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/internal/fault"
)

// explain looks for the bit behind each checksum that does not match. rd is nil if
// the index cannot be opened.
func (v *Verified) explain(ctx context.Context, rd *bundle.Reader) error {
	for i, p := range v.Problems {
		e := explanationOf(ctx, rd, p)
		if e != nil {
			explained := *p
			explained.Explanation = e
			v.Problems[i] = &explained
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// explanationOf is nil for what no checksum tells about.
func explanationOf(ctx context.Context, rd *bundle.Reader, p *CorruptError) (e *Explanation) {
	var sum *fault.ChecksumError
	known := errors.As(p.Err, &sum)
	if known && sum.Length > 0 {
		return explanation(p.File, sum)
	}
	if rd != nil && p.Key != "" && (known || p.Kind == KindEntry) {
		e = lengthExplanation(ctx, rd, p)
	}
	if known && (e == nil || len(e.Flips) == 0) {
		if stored := explanation(p.File, sum); len(stored.Flips) > 0 {
			e = stored
		}
	}
	return e
}

// lengthExplanation is that of damage to the lengths in a string tensor, nil if
// it is none or cannot be explained.
func lengthExplanation(ctx context.Context, rd *bundle.Reader, p *CorruptError) *Explanation {
	flips, searched, err := rd.LengthFlips(ctx, p.Key)
	if err != nil || searched == 0 {
		return nil
	}
	e := &Explanation{Chance: crc32c.SingleBitChance(searched)}
	for _, at := range flips {
		e.Flips = append(e.Flips, Flip{File: p.File, Offset: p.Offset + at/8, Bit: int(at % 8)})
	}
	return e
}

// explanation lists the single bits of the data, or of the checksum, whose change
// makes the two fit. The chance counts the bits of both.
func explanation(file string, sum *fault.ChecksumError) *Explanation {
	e := &Explanation{Chance: crc32c.SingleBitChance(sum.Length + 4)}
	for _, at := range crc32c.SingleBit(sum.Stored, sum.Calculated, sum.Length) {
		e.Flips = append(e.Flips, Flip{File: file, Offset: sum.Offset + at/8, Bit: int(at % 8)})
	}
	bit, ok := crc32c.StoredBit(sum.Stored, sum.Calculated)
	if !ok {
		return e
	}
	f := Flip{File: file, Offset: sum.At, Bit: bit % 8, Checksum: true}
	if sum.At < 0 {
		f.File, f.Bit = indexBeside(file), bit
	} else if sum.BigEndian {
		f.Offset += int64(3 - bit/8)
	} else {
		f.Offset += int64(bit / 8)
	}
	e.Flips = append(e.Flips, f)
	return e
}

// indexBeside is the name of the index that a data file belongs to.
func indexBeside(file string) string {
	prefix, _, _, _ := bundle.ParseDataName(file)
	return bundle.IndexName(prefix)
}
