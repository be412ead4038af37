package cli

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/cmd/ckpt/internal/values"
)

// schema is the version of all documents: fields may join, none changes.
const schema = 1

// printJSON prints a document: one line for each field of it, and for each
// record in a list of records.
func (s *call) printJSON(document any) error {
	text, err := marshal(document)
	if err != nil {
		return err
	}
	if _, err := s.out.Write(layout(text)); err != nil {
		return err
	}
	return s.out.WriteByte('\n')
}

func marshal(document any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(document); err != nil {
		return nil, err
	}
	return values.EscapeJSON(bytes.TrimRight(b.Bytes(), "\n")), nil
}

// record is an element of a list of records as layout prints it.
func record(v any) ([]byte, error) {
	const before, behind = "{\n  \"\": [\n    ", "\n  ]\n}"
	text, err := marshal(v)
	if err != nil {
		return nil, err
	}
	text = layout(slices.Concat([]byte(`{"":[`), text, []byte(`]}`)))
	return text[len(before) : len(text)-len(behind)], nil
}

// layout breaks compact JSON, which must be an object, into lines.
func layout(compact []byte) []byte {
	const indent = "\n    "
	out := make([]byte, 0, len(compact)+len(compact)/8)
	depth := 0
	quoted, records := false, false // records: inside a list of records
	for i := 0; i < len(compact); i++ {
		c := compact[i]
		if quoted {
			out = append(out, c)
			if c == '\\' {
				i++
				out = append(out, compact[i])
			}
			quoted = c != '"'
			continue
		}
		switch c {
		case '"':
			quoted = true
		case '{', '[':
			depth++
			out = append(out, c)
			if depth == 2 && c == '[' {
				records = compact[i+1] == '{'
			}
			if depth == 1 {
				out = append(out, indent[:3]...)
			} else if depth == 2 && records {
				out = append(out, indent...)
			}
			continue
		case '}', ']':
			if depth == 1 {
				out = append(out, '\n')
			} else if depth == 2 && records {
				out = append(out, indent[:3]...)
				records = false
			}
			depth--
		}
		out = append(out, c)
		switch {
		case c == ':' && depth == 1:
			out = append(out, ' ')
		case c == ',' && depth == 1:
			out = append(out, indent[:3]...)
		case c == ',' && depth == 2 && records:
			out = append(out, indent...)
		case c == ',' || c == ':':
			out = append(out, ' ')
		}
	}
	return out
}

// utf8Text splits a name for a pair of fields: the name, or base64 of its bytes
// if it is not UTF-8. One of the two is nil.
func utf8Text(s string) (text, b64 *string) {
	if utf8.ValidString(s) {
		return &s, nil
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(s))
	return nil, &encoded
}

// jsonName is the pair of fields of a tensor's, an edge's or a slot's name.
type jsonName struct {
	Name    *string `json:"name,omitempty"`
	NameB64 *string `json:"name_b64,omitempty"`
}

func nameOf(s string) (n jsonName) {
	n.Name, n.NameB64 = utf8Text(s)
	return n
}

// jsonPrefix is the pair of fields of a prefix.
type jsonPrefix struct {
	Prefix    *string `json:"prefix,omitempty"`
	PrefixB64 *string `json:"prefix_b64,omitempty"`
}

func prefixOf(s string) (p jsonPrefix) {
	p.Prefix, p.PrefixB64 = utf8Text(s)
	return p
}

// jsonPlace is where bytes lie; all null for a sliced tensor, whose slices have
// places of their own, and in the format before bundles (V1), which has no data files.
type jsonPlace struct {
	Shard  *int    `json:"shard"`
	Offset *int64  `json:"offset"`
	CRC32C *string `json:"crc32c"`
}

func placeOf(shard int, offset int64, crc uint32) jsonPlace {
	if shard < 0 {
		return jsonPlace{}
	}
	text := crcText(crc)
	return jsonPlace{&shard, &offset, &text}
}

func crcText(crc uint32) string { return fmt.Sprintf("%08x", crc) }

type jsonTensor struct {
	jsonName
	DType string  `json:"dtype"`
	Shape []int64 `json:"shape"`
	Bytes int64   `json:"bytes"`
	jsonPlace
	Slices []jsonSlice `json:"slices,omitempty"`
}

type jsonSlice struct {
	Start  []int64 `json:"start"`
	Length []int64 `json:"length"`
	Bytes  int64   `json:"bytes"`
	jsonPlace
}

func tensorOf(v *ckpt.VariableInfo) jsonTensor {
	t := jsonTensor{jsonName: nameOf(v.Name), DType: v.DType.String(), Shape: list([]int64(v.Shape)), Bytes: v.Bytes}
	if len(v.Slices) == 0 {
		t.jsonPlace = placeOf(v.Shard, v.Offset, v.CRC32C)
		return t
	}
	for _, s := range v.Slices {
		t.Slices = append(t.Slices, jsonSlice{list(s.Start), list(s.Length), s.Bytes, placeOf(s.Shard, s.Offset, s.CRC32C)})
	}
	return t
}

// list is never null in JSON.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// jsonProblem is one finding of verify; what is unknown is null.
type jsonProblem struct {
	File      *string `json:"file"`
	FileB64   *string `json:"file_b64,omitempty"`
	Tensor    *string `json:"tensor"`
	TensorB64 *string `json:"tensor_b64,omitempty"`
	Kind      string  `json:"kind"`
	Offset    *int64  `json:"offset"`
	Length    *int64  `json:"length"`
	Detail    string  `json:"detail"`
	// Explanation is there if --explain found one to give.
	Explanation *jsonExplanation `json:"explanation,omitempty"`
}

func problemsOf(problems []*ckpt.CorruptError) []jsonProblem {
	out := make([]jsonProblem, 0, len(problems))
	for _, p := range problems {
		j := jsonProblem{Kind: string(p.Kind), Detail: detail(p)}
		if p.File != "" {
			j.File, j.FileB64 = utf8Text(p.File)
		}
		if p.Key != "" {
			j.Tensor, j.TensorB64 = utf8Text(p.Key)
		}
		if p.Offset >= 0 {
			j.Offset = &p.Offset
		}
		if p.Length >= 0 {
			j.Length = &p.Length
		}
		j.Explanation = explanationOf(p.Explanation)
		out = append(out, j)
	}
	return out
}

func detail(p *ckpt.CorruptError) string {
	if p.Err == nil {
		return string(p.Kind)
	}
	return sanitize(p.Err.Error())
}
