package ckpt

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/ckpt-go/ckpt/internal/fault"
)

type rawJSON = json.RawMessage

// maxSaid bounds what metadata says besides digests, in bytes of JSON.
const maxSaid = 1 << 20

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
	Name   string   `json:"name,omitempty"`
	Base64 []byte   `json:"name_b64,omitempty"`
	Bytes  *int64   `json:"bytes,omitempty"`
	SHA256 *hexText `json:"sha256"`
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
		d.Bytes, d.SHA256 = new(f.Size), new(hexText(f.SHA256))
		t.Files = append(t.Files, d)
	}
	for _, s := range m.Digests.Tensors {
		d := nameText(s.Name)
		d.SHA256 = new(hexText(s.SHA256))
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

// checkSaid refuses what could not be read back.
func (t *metadataText) checkSaid(m *Metadata) error {
	small := *t
	small.Files, small.Tensors = nil, nil
	text, err := json.Marshal(small)
	if err != nil {
		return fmt.Errorf("metadata cannot be written as JSON: %w", err)
	}
	n := len(text)
	for key, value := range m.unknown {
		n += len(key) + len(value)
	}
	if n > maxSaid {
		return fmt.Errorf("%d bytes of metadata besides digests; at most %d can be read back", n, maxSaid)
	}
	return nil
}

// encodeMetadata gives the bytes of the file.
func encodeMetadata(m, replaced *Metadata) ([]byte, error) {
	t := m.text()
	if err := t.checkSaid(m); err != nil {
		return nil, err
	}
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

// knownFields are the keys of metadataText but for the large ones.
var knownFields = []string{"schema", "index_sha256", "time", "step", "metrics", "pinned", "parent", "branch", "seeds", "values", "program", "host", "digests"}

// decodeMetadata reads the file: what it says of the checkpoint, and of the one
// that this replaced. Memory is at most 32 bytes for each byte of text, and
// 128 MiB for what is not digests, of which there is at most maxSaid.
func decodeMetadata(text []byte) ([]*Metadata, error) {
	m, replaced, err := decodeOneMetadata(text)
	if err != nil {
		return nil, noMetadata(err)
	}
	all := []*Metadata{m}
	if replaced != nil {
		if old, _, err := decodeOneMetadata(replaced); err == nil {
			all = append(all, old)
		}
	}
	return all, nil
}

// noMetadata makes an error of the JSON one of the file.
func noMetadata(err error) error {
	var c *CorruptError
	if errors.As(err, &c) {
		return err
	}
	return fault.Corrupt(fault.KindFormat, "no metadata of a checkpoint: %v", err)
}

// metadataFields takes the top of the file apart. Digests, and what belonged to a
// checkpoint before, stand in large; together the others are small.
func metadataFields(text []byte) (small, large map[string]rawJSON, err error) {
	small, large = make(map[string]rawJSON), make(map[string]rawJSON)
	d := json.NewDecoder(bytes.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, nil, errors.Join(errors.New("no JSON object"), err)
	}
	said := 0
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, nil, err
		}
		var value rawJSON
		if err := d.Decode(&value); err != nil {
			return nil, nil, err
		}
		name := key.(string) // of an object's key
		switch name {
		case "files", "tensors", "replaced":
			large[name] = value
			continue
		}
		if said += len(name) + len(value); said > maxSaid {
			return nil, nil, fault.Corrupt(fault.KindFormat, "more than %d bytes besides digests", maxSaid)
		}
		small[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, nil, errors.New("bytes behind the metadata")
	}
	return small, large, nil
}

func decodeOneMetadata(text []byte) (m *Metadata, replaced rawJSON, err error) {
	small, large, err := metadataFields(text)
	if err != nil {
		return nil, nil, err
	}
	var version int
	if err := json.Unmarshal([]byte(cmp.Or(string(small["schema"]), "0")), &version); err != nil {
		return nil, nil, err
	}
	if version != metadataSchema {
		return nil, nil, fault.Corrupt(fault.KindUnsupported, "metadata of schema %d; this version reads %d: %w", version, metadataSchema, errors.ErrUnsupported)
	}
	known, unknown := make(map[string]rawJSON), make(map[string]rawJSON)
	for key, value := range small {
		if slices.Contains(knownFields, key) {
			known[key] = value
		} else {
			unknown[key] = value
		}
	}
	said, err := json.Marshal(known)
	if err != nil {
		return nil, nil, err
	}
	var t metadataText
	d := json.NewDecoder(bytes.NewReader(said))
	d.UseNumber()
	if err := d.Decode(&t); err != nil {
		return nil, nil, err
	}
	if len(t.Index) != 2*len(hexText{}) {
		return nil, nil, fmt.Errorf("index_sha256 is %q", t.Index)
	}
	m = &Metadata{
		index: t.Index, Time: t.Time, Step: t.Step, Pinned: t.Pinned, Parent: t.Parent, Branch: t.Branch, Values: t.Values,
		Metrics: convert[float64](t.Metrics), Seeds: convert[uint64](t.Seeds), unknown: unknown,
	}
	if t.Program != nil {
		m.Program = ProgramFacts(*t.Program)
	}
	if t.Host != nil {
		m.Host = HostFacts(*t.Host)
	}
	if t.Digests {
		m.Digests, err = digestsOf(large)
	}
	return m, large["replaced"], err
}

// digestsOf reads the digests one by one, so that empty ones cost nothing.
func digestsOf(large map[string]rawJSON) (*Digests, error) {
	all := new(Digests)
	for d, err := range digestsIn(large["files"]) {
		if err != nil {
			return nil, err
		}
		size := int64(-1)
		if d.Bytes != nil {
			size = *d.Bytes
		}
		all.Files = append(all.Files, FileDigest{d.name(), size, *d.SHA256})
	}
	for d, err := range digestsIn(large["tensors"]) {
		if err != nil {
			return nil, err
		}
		all.Tensors = append(all.Tensors, TensorDigest{d.name(), *d.SHA256})
	}
	return all, nil
}

// digestsIn yields the elements of a list, up to the first that is none.
func digestsIn(list rawJSON) iter.Seq2[*digestText, error] {
	return func(yield func(*digestText, error) bool) {
		if len(list) == 0 {
			return
		}
		d := json.NewDecoder(bytes.NewReader(list))
		if open, err := d.Token(); err != nil || open != json.Delim('[') {
			yield(nil, errors.Join(errors.New("digests are no list"), err))
			return
		}
		for d.More() {
			var t digestText
			err := d.Decode(&t)
			if err == nil && (t.name() == "" || t.SHA256 == nil) {
				err = errors.New("a digest without a name or a SHA-256")
			}
			if !yield(&t, err) || err != nil {
				return
			}
		}
	}
}
