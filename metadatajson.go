package ckpt

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/ckpt-go/ckpt/internal/fault"
)

type rawJSON = json.RawMessage

// metadataSchema is the version of the file's form.
const metadataSchema = 1

// metadataText is the form of the file; docs/json.md describes it.
type metadataText struct {
	Schema   int                   `json:"schema"`
	Index    string                `json:"index_sha256"`
	Time     time.Time             `json:"time,omitzero"`
	Step     *int64                `json:"step,omitempty"`
	Metrics  map[string]jsonFloat  `json:"metrics,omitempty"`
	Pinned   bool                  `json:"pinned,omitempty"`
	Parent   string                `json:"parent,omitempty"`
	Branch   string                `json:"branch,omitempty"`
	Seeds    map[string]uint64Text `json:"seeds,omitempty"`
	Values   map[string]any        `json:"values,omitempty"`
	Program  *programText          `json:"program,omitempty"`
	Host     *hostText             `json:"host,omitempty"`
	Files    []digestText          `json:"files,omitempty"`
	Tensors  []digestText          `json:"tensors,omitempty"`
	Digests  bool                  `json:"digests,omitempty"`
	Replaced *rawJSON              `json:"replaced,omitempty"`
}

type programText struct {
	Name     string `json:"name"`
	Module   string `json:"module,omitempty"`
	Version  string `json:"version,omitempty"`
	Go       string `json:"go"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
}

type hostText struct {
	Name string `json:"name"`
	OS   string `json:"os"`
	Arch string `json:"arch"`
	CPUs int    `json:"cpus"`
}

// digestText is the digest of a file or of a tensor. A name that is not UTF-8
// comes as base64.
type digestText struct {
	Name   string  `json:"name,omitempty"`
	Base64 []byte  `json:"name_b64,omitempty"`
	Bytes  *int64  `json:"bytes,omitempty"`
	SHA256 hexText `json:"sha256"`
}

func nameText(name string) digestText {
	if utf8.ValidString(name) {
		return digestText{Name: name}
	}
	return digestText{Base64: []byte(name)}
}

func (d *digestText) name() string {
	if d.Base64 != nil {
		return string(d.Base64)
	}
	return d.Name
}

type hexText [32]byte

func (h hexText) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

func (h *hexText) UnmarshalText(text []byte) error {
	if len(text) != 2*len(h) {
		return fmt.Errorf("a SHA-256 of %d digits", len(text))
	}
	_, err := hex.Decode(h[:], text)
	return err
}

// uint64Text is a number beyond what JavaScript's can hold.
type uint64Text uint64

func (u uint64Text) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, `"%d"`, uint64(u)), nil }

func (u *uint64Text) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseUint(string(bytes.Trim(text, `"`)), 10, 64)
	*u = uint64Text(n)
	return err
}

// jsonFloat is a number that may be NaN or infinite.
type jsonFloat float64

func (f jsonFloat) MarshalJSON() ([]byte, error) {
	switch v := float64(f); {
	case math.IsNaN(v):
		return []byte(`"NaN"`), nil
	case math.IsInf(v, 1):
		return []byte(`"Infinity"`), nil
	case math.IsInf(v, -1):
		return []byte(`"-Infinity"`), nil
	default:
		return json.Marshal(v)
	}
}

func (f *jsonFloat) UnmarshalJSON(text []byte) error {
	switch string(text) {
	case `"NaN"`:
		*f = jsonFloat(math.NaN())
	case `"Infinity"`:
		*f = jsonFloat(math.Inf(1))
	case `"-Infinity"`:
		*f = jsonFloat(math.Inf(-1))
	default:
		return json.Unmarshal(text, (*float64)(f))
	}
	return nil
}

// text is m as it is written.
func (m *Metadata) text() *metadataText {
	t := &metadataText{
		Schema: metadataSchema, Index: m.index, Time: m.Time, Step: m.Step, Pinned: m.Pinned, Parent: m.Parent, Branch: m.Branch, Values: m.Values,
		Metrics: convert[jsonFloat](m.Metrics), Seeds: convert[uint64Text](m.Seeds),
	}
	if m.Program != (ProgramFacts{}) {
		t.Program = new(programText(m.Program))
	}
	if m.Host != (HostFacts{}) {
		t.Host = new(hostText(m.Host))
	}
	if m.Digests == nil {
		return t
	}
	t.Digests = true
	for _, f := range m.Digests.Files {
		d := nameText(f.Name)
		d.Bytes, d.SHA256 = new(f.Size), f.SHA256
		t.Files = append(t.Files, d)
	}
	for _, s := range m.Digests.Tensors {
		d := nameText(s.Name)
		d.SHA256 = s.SHA256
		t.Tensors = append(t.Tensors, d)
	}
	return t
}

// convert gives the values of a map another type of the same kind.
func convert[To, From ~float64 | ~uint64](m map[string]From) map[string]To {
	if m == nil {
		return nil
	}
	c := make(map[string]To, len(m))
	for k, v := range m {
		c[k] = To(v)
	}
	return c
}

// encodeMetadata gives the bytes of the file.
func encodeMetadata(m, replaced *Metadata) ([]byte, error) {
	t := m.text()
	if replaced != nil {
		old, err := encodeMetadata(replaced, nil)
		if err != nil {
			return nil, err
		}
		t.Replaced = new(rawJSON(old))
	}
	text, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("metadata cannot be written as JSON: %w", err)
	}
	for _, key := range slices.Sorted(maps.Keys(m.unknown)) { // of a later version: kept
		name, _ := json.Marshal(key)
		text = append(text[:len(text)-1], ',')
		text = append(append(append(text, name...), ':'), m.unknown[key]...)
		text = append(text, '}')
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", " "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// known are the keys of metadataText.
var known = []string{"schema", "index_sha256", "time", "step", "metrics", "pinned", "parent", "branch", "seeds", "values", "program", "host",
	"files", "tensors", "digests", "replaced"}

// decodeMetadata reads the file: what it says of the checkpoint, and of the one
// that this replaced. Memory is at most 64 bytes for each byte of text.
func decodeMetadata(text []byte) ([]*Metadata, error) {
	m, replaced, err := decodeOneMetadata(text)
	if err != nil {
		return nil, err
	}
	all := []*Metadata{m}
	if replaced != nil {
		if old, _, err := decodeOneMetadata(*replaced); err == nil {
			all = append(all, old)
		}
	}
	return all, nil
}

func decodeOneMetadata(text []byte) (*Metadata, *rawJSON, error) {
	var version struct{ Schema int }
	if err := json.Unmarshal(text, &version); err != nil {
		return nil, nil, fault.Corrupt(fault.KindFormat, "no metadata of a checkpoint: %v", err)
	}
	if version.Schema != metadataSchema {
		return nil, nil, fault.Corrupt(fault.KindUnsupported, "metadata of schema %d; this version reads %d", version.Schema, metadataSchema)
	}
	var t metadataText
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&t); err != nil {
		return nil, nil, fault.Corrupt(fault.KindFormat, "no metadata of a checkpoint: %v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, nil, fault.Corrupt(fault.KindFormat, "bytes behind the metadata")
	}
	if len(t.Index) != 2*len(hexText{}) {
		return nil, nil, fault.Corrupt(fault.KindFormat, "index_sha256 is %q: no metadata of a checkpoint", t.Index)
	}
	m := &Metadata{
		index: t.Index, Time: t.Time, Step: t.Step, Pinned: t.Pinned, Parent: t.Parent, Branch: t.Branch, Values: t.Values,
		Metrics: convert[float64](t.Metrics), Seeds: convert[uint64](t.Seeds),
	}
	if t.Program != nil {
		m.Program = ProgramFacts(*t.Program)
	}
	if t.Host != nil {
		m.Host = HostFacts(*t.Host)
	}
	if t.Digests {
		m.Digests = t.digests()
	}
	if err := json.Unmarshal(text, &m.unknown); err != nil {
		return nil, nil, fault.Corrupt(fault.KindFormat, "no metadata of a checkpoint: %v", err)
	}
	for _, key := range known {
		delete(m.unknown, key)
	}
	return m, t.Replaced, nil
}

func (t *metadataText) digests() *Digests {
	d := new(Digests)
	for _, f := range t.Files {
		size := int64(-1)
		if f.Bytes != nil {
			size = *f.Bytes
		}
		d.Files = append(d.Files, FileDigest{f.name(), size, f.SHA256})
	}
	for _, s := range t.Tensors {
		d.Tensors = append(d.Tensors, TensorDigest{s.name(), s.SHA256})
	}
	return d
}
