package ckpt

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"unicode/utf8"
)

// stateFileName is the name of the state file in a directory of checkpoints.
const stateFileName = "checkpoint"

// State is what the `checkpoint` file of a directory says: which checkpoint is
// the latest and which ones a manager keeps. It is TensorFlow's CheckpointState
// (tf.train.get_checkpoint_state).
//
// Paths are as they stand in the file: relative ones are relative to the
// directory that holds it. Timestamps are seconds since 1970, one per element
// of All or none at all. LastPreserved is the time stamp of the checkpoint that
// a manager kept last for its KeepEvery, 0 if there is none.
//
// A State is plain data; it is safe for concurrent reading.
type State struct {
	Latest        string
	All           []string
	Timestamps    []float64
	LastPreserved float64
}

// The names of the fields in the text, in the order they are written.
const (
	fieldLatest        = "model_checkpoint_path"
	fieldAll           = "all_model_checkpoint_paths"
	fieldTimestamps    = "all_model_checkpoint_timestamps"
	fieldLastPreserved = "last_preserved_timestamp"
)

// NewState makes the state of a directory in which latest was just saved. It is
// TensorFlow's generate_checkpoint_state_proto with relative paths: every path
// comes out relative to dir, a plain name such as "ckpt-7" if it lies in dir.
// A relative path is taken to be relative to dir if dir is absolute, else to
// the working directory, as dir itself is. latest is appended to all unless it
// is its last element.
//
// TensorFlow makes a path relative twice when the path is absolute and dir is
// not, so that it points elsewhere; NewState does so once.
//
// It is an error if latest is empty or is the state file itself, and if there
// are timestamps but not as many as paths. The arguments are not kept.
func NewState(dir, latest string, all []string, timestamps []float64, lastPreserved float64) (*State, error) {
	if latest == "" {
		return nil, errors.New("the state needs the path of the latest checkpoint")
	}
	relative, err := relativePath(dir, latest)
	if err != nil {
		return nil, err
	}
	if relative == stateFileName {
		return nil, fmt.Errorf("save path %q conflicts with path used for checkpoint state, use a different save path", latest)
	}
	s := &State{
		Latest:        relative,
		All:           make([]string, 0, len(all)+1),
		Timestamps:    slices.Clone(timestamps),
		LastPreserved: lastPreserved,
	}
	for _, path := range all {
		kept, err := relativePath(dir, path)
		if err != nil {
			return nil, err
		}
		s.All = append(s.All, kept)
	}
	if n := len(s.All); n == 0 || s.All[n-1] != relative {
		s.All = append(s.All, relative)
	}
	if n := len(s.Timestamps); n > 0 && n != len(s.All) {
		return nil, fmt.Errorf("checkpoint timestamps must match checkpoint paths: %d timestamps for %d paths", n, len(s.All))
	}
	return s, nil
}

// relativePath gives path as a state file in dir names it, with slashes.
func relativePath(dir, path string) (string, error) {
	if path == "" {
		return "", errors.New("the path of a checkpoint is empty")
	}
	if !filepath.IsAbs(path) && filepath.IsAbs(dir) {
		return filepath.ToSlash(filepath.Clean(path)), nil
	}
	relative, err := filepath.Rel(dir, path)
	if err != nil {
		// One of the two climbs out of the working directory or only one is
		// absolute: they can be compared once both are.
		absoluteDir, dirErr := filepath.Abs(dir)
		absolutePath, pathErr := filepath.Abs(path)
		if err := errors.Join(dirErr, pathErr); err != nil {
			return "", err
		}
		if relative, err = filepath.Rel(absoluteDir, absolutePath); err != nil {
			return "", err
		}
	}
	return filepath.ToSlash(relative), nil
}

// AppendText appends the text of the state file to b, the bytes that
// TensorFlow 2.21 writes: one line per value, doubles as Python's repr, text in
// UTF-8. Bytes that are not UTF-8, which TensorFlow cannot put into a state,
// are written as octal escapes.
func (s *State) AppendText(b []byte) []byte {
	if s.Latest != "" {
		b = appendTextString(b, fieldLatest, s.Latest)
	}
	for _, path := range s.All {
		b = appendTextString(b, fieldAll, path)
	}
	for _, seconds := range s.Timestamps {
		b = appendTextDouble(b, fieldTimestamps, seconds)
	}
	// Zero means unset; minus zero has a bit set and is written.
	if math.Float64bits(s.LastPreserved) != 0 {
		b = appendTextDouble(b, fieldLastPreserved, s.LastPreserved)
	}
	return b
}

func appendTextString(b []byte, field, value string) []byte {
	b = append(b, field...)
	b = append(b, `: "`...)
	for i := 0; i < len(value); {
		r, size := utf8.DecodeRuneInString(value[i:])
		if r >= utf8.RuneSelf && (r != utf8.RuneError || size > 1) {
			b = append(b, value[i:i+size]...)
		} else {
			b = appendEscaped(b, value[i])
		}
		i += size
	}
	return append(b, "\"\n"...)
}

// appendEscaped appends one byte that is not part of a longer UTF-8 sequence.
func appendEscaped(b []byte, c byte) []byte {
	switch c {
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	case '"', '\'', '\\':
		return append(b, '\\', c)
	}
	if c < 0x20 || c >= 0x7f {
		return append(b, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
	}
	return append(b, c)
}

func appendTextDouble(b []byte, field string, value float64) []byte {
	b = append(b, field...)
	b = append(b, ": "...)
	b = appendRepr(b, value)
	return append(b, '\n')
}

// appendRepr appends Python's repr of a float: the shortest decimal that gives
// it back, plain for exponents −4 ≤ e < 16 and never without a point.
func appendRepr(b []byte, value float64) []byte {
	switch {
	case math.IsNaN(value):
		return append(b, "nan"...)
	case math.IsInf(value, 1):
		return append(b, "inf"...)
	case math.IsInf(value, -1):
		return append(b, "-inf"...)
	}
	if size := math.Abs(value); size != 0 && (size < 1e-4 || size >= 1e16) {
		return strconv.AppendFloat(b, value, 'e', -1, 64)
	}
	start := len(b)
	b = strconv.AppendFloat(b, value, 'f', -1, 64)
	if !slices.Contains(b[start:], '.') {
		b = append(b, ".0"...)
	}
	return b
}
