package cli

import "github.com/ckpt-go/ckpt"

// jsonExplanation is what a checksum says of the damage.
type jsonExplanation struct {
	Flips  []jsonFlip `json:"flips"`
	Chance float64    `json:"chance"`
}

type jsonFlip struct {
	File     *string `json:"file"`
	FileB64  *string `json:"file_b64,omitempty"`
	Offset   *int64  `json:"offset"`
	Bit      int     `json:"bit"`
	Checksum bool    `json:"checksum"`
}

func explanationOf(e *ckpt.Explanation) *jsonExplanation {
	if e == nil {
		return nil
	}
	return &jsonExplanation{Flips: flipsOf(e.Flips), Chance: e.Chance}
}

func flipsOf(flips []ckpt.Flip) []jsonFlip {
	out := []jsonFlip{}
	for _, f := range flips {
		j := jsonFlip{Bit: f.Bit, Checksum: f.Checksum}
		j.File, j.FileB64 = utf8Text(f.File)
		if f.Offset >= 0 {
			j.Offset = &f.Offset
		}
		out = append(out, j)
	}
	return out
}
