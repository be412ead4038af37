package fault

import (
	"fmt"
	"strconv"
	"strings"
)

// ChecksumError is the cause of a CorruptError of KindChecksum that is a CRC-32C:
// what a search for the damaged bit needs.
type ChecksumError struct {
	Stored, Calculated uint32 // unmasked
	// Offset and Length are the bytes in the file that the checksum covers to its
	// end; what it covers before them, if anything, is no piece of the file.
	Offset, Length int64
	// At is where the file has the checksum itself, four bytes; −1 if it stands in
	// the index, whose own checksums are right.
	At int64
	// BigEndian says that the checksum is stored so.
	BigEndian bool
	// Text is what the error says.
	Text string
}

// Error implements error.
func (e *ChecksumError) Error() string { return e.Text }

// Explanation is what the checksums of damaged bytes say of the damage: a CRC is
// linear, so a single flipped bit can be found.
type Explanation struct {
	// Flips are the single bits each of which explains the checksum. There is none
	// if more than one bit differs, and at most one below 256 MiB.
	Flips []Flip
	// Chance is the probability that other damage, of an odd number of bits, has a
	// flip that explains it, too: bits / 2³¹, at most 1. An even number of flipped
	// bits never looks like one.
	Chance float64
}

// shownFlips is how many flips a text lists: above 256 MiB there are more, and
// they mean nothing.
const shownFlips = 3

// String says it in one line, without the names of files.
func (e *Explanation) String() string {
	if len(e.Flips) == 0 {
		return "no single flipped bit of these bytes explains it"
	}
	var b strings.Builder
	b.WriteString("one flipped bit explains it: ")
	for i := range e.Flips {
		if i == shownFlips {
			fmt.Fprintf(&b, ", or %d more", len(e.Flips)-i)
			break
		}
		if i > 0 {
			b.WriteString(", or ")
		}
		b.WriteString(e.Flips[i].String())
	}
	if e.Chance >= 1 {
		return b.String() + "; so it does for any damage of an odd number of bits, and proves nothing"
	}
	fmt.Fprintf(&b, "; at most %s of other damage looks like that", percent(e.Chance))
	return b.String()
}

// String says where it is, without the name of the file.
func (f *Flip) String() string {
	switch {
	case f.Checksum && f.Offset < 0:
		return fmt.Sprintf("bit %d of the checksum in the index", f.Bit)
	case f.Checksum:
		return fmt.Sprintf("bit %d of the byte at offset %d, in the checksum itself", f.Bit, f.Offset)
	}
	return fmt.Sprintf("bit %d of the byte at offset %d", f.Bit, f.Offset)
}

// percent is a probability with one digit that counts.
func percent(chance float64) string {
	p := 100 * chance
	if p < 0.001 {
		return "0.001 %"
	}
	if p >= 1 {
		return fmt.Sprintf("%.0f %%", p)
	}
	return strconv.FormatFloat(p, 'g', 1, 64) + " %"
}

// Flip is one bit.
type Flip struct {
	File   string // its name without its folder
	Offset int64  // of the byte in the file; −1 if it is a stored checksum of the index
	Bit    int    // 0 is the least significant
	// Checksum says that it is a bit of the checksum, and the data is right. Where
	// the checksum stands in the index, which has checksums of its own, it was
	// wrong already when it was written.
	Checksum bool
}
