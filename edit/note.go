package edit

import (
	"unicode/utf8"

	"github.com/ckpt-go/ckpt"
)

// Note is what the metadata of a repaired checkpoint says of the repair, as the
// value "repair"; docs/repair.md describes it.
type Note struct {
	From      string       `json:"from"`
	Index     How          `json:"index"`
	LostParts int          `json:"lost_parts,omitempty"` // of the index
	Donor     string       `json:"donor,omitempty"`      // of the index
	Flips     []FlipNote   `json:"flips,omitempty"`      // of the index
	Chance    float64      `json:"chance,omitempty"`     // of the index
	Tensors   []TensorNote `json:"tensors,omitempty"`
	// Unlisted counts the tensors that were left out and are not listed, beyond a
	// thousand. All that were changed are listed.
	Unlisted int `json:"unlisted,omitempty"`
}

// TensorNote is one tensor that was damaged.
type TensorNote struct {
	Name    string     `json:"name,omitempty"`
	NameB64 []byte     `json:"name_b64,omitempty"` // if it is no UTF-8
	How     How        `json:"how"`
	Donor   string     `json:"donor,omitempty"`
	Flips   []FlipNote `json:"flips,omitempty"`
	Chance  float64    `json:"chance,omitempty"`
}

// FlipNote is one bit that was flipped back, by its place in the source.
type FlipNote struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Bit    int    `json:"bit"`
}

const mostLeftOut = 1000

func noteOf(r *Repaired) *Note {
	n := &Note{From: baseOf(r.From), Index: r.Index.How, LostParts: len(r.Index.Lost), Donor: baseOf(r.Index.Donor), Flips: flipsOf(r.Index.Flips), Chance: r.Index.Chance}
	left := 0
	for _, t := range r.Tensors {
		if t.How == LeftOut {
			if left++; left > mostLeftOut {
				n.Unlisted++
				continue
			}
		}
		note := TensorNote{Name: t.Name, How: t.How, Donor: baseOf(t.Donor), Flips: flipsOf(t.Flips), Chance: t.Chance}
		if !utf8.ValidString(t.Name) {
			note.Name, note.NameB64 = "", []byte(t.Name)
		}
		n.Tensors = append(n.Tensors, note)
	}
	return n
}

// baseOf leaves the folders out, which mean nothing elsewhere.
func baseOf(prefix string) string {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] == '/' || prefix[i] == '\\' {
			return prefix[i+1:]
		}
	}
	return prefix
}

func flipsOf(flips []ckpt.Flip) (all []FlipNote) {
	for _, f := range flips {
		all = append(all, FlipNote{f.File, f.Offset, f.Bit})
	}
	return all
}
