package edit

import (
	"encoding/json"
	"errors"
	"fmt"
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
	// Unlisted counts the damaged tensors for which there was no room, or that were left
	// out beyond a thousand. All that are at risk are listed.
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

// Metadata holds mostSaid bytes besides digests, of which a note takes half at most
// and leaves what other values need, with some slack.
const (
	mostSaid    = 1 << 20
	saidSlack   = 64 << 10
	mostLeftOut = 1000
)

// noteRoom is how many bytes the list of a note may have beside what m says.
func noteRoom(m *ckpt.Metadata) int {
	room := mostSaid - saidSlack
	if m != nil {
		said, _ := json.Marshal([]any{m.Values, m.Metrics})
		room -= len(said)
	}
	return min(room, mostSaid/2)
}

// noteOf is the note of a repair whose list has room for so many bytes of JSON.
func noteOf(r *Repaired, room int) (*Note, error) {
	n := &Note{From: baseOf(r.From), Index: r.Index.How, LostParts: len(r.Index.Lost), Donor: baseOf(r.Index.Donor), Flips: flipsOf(r.Index.Flips), Chance: r.Index.Chance}
	notes := make([]TensorNote, len(r.Tensors))
	listed := make([]bool, len(r.Tensors))
	list := func(i int) bool {
		notes[i] = noteTensor(&r.Tensors[i])
		text, err := json.Marshal(&notes[i])
		if err != nil || len(text)+1 > room {
			return false
		}
		room -= len(text) + 1
		listed[i] = true
		return true
	}
	for i := range r.Tensors {
		if r.Tensors[i].How == AtRisk && !list(i) {
			return nil, fmt.Errorf("metadata has no room to say of all tensors what risk was taken: %w", errors.ErrUnsupported)
		}
	}
	left := 0
	for i := range r.Tensors {
		if r.Tensors[i].How == LeftOut {
			left++
		}
		if !listed[i] && (r.Tensors[i].How == LeftOut && left > mostLeftOut || !list(i)) {
			n.Unlisted++
		}
	}
	for i := range notes {
		if listed[i] {
			n.Tensors = append(n.Tensors, notes[i])
		}
	}
	return n, nil
}

func noteTensor(t *TensorRepair) TensorNote {
	note := TensorNote{Name: t.Name, How: t.How, Donor: baseOf(t.Donor), Flips: flipsOf(t.Flips), Chance: t.Chance}
	if !utf8.ValidString(t.Name) {
		note.Name, note.NameB64 = "", []byte(t.Name)
	}
	return note
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
