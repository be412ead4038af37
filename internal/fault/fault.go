// Package fault declares the error classes and the typed errors of the whole
// library. Every package that returns one of them re-exports it, so a caller
// asks errors.Is(err, ckpt.ErrCorrupt) whatever layer found the damage.
package fault

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The three classes. Missing files are also fs.ErrNotExist, formats of the
// future also errors.ErrUnsupported.
var (
	// ErrCorrupt says that bytes on disk are not what was written: TensorFlow's
	// DataLoss and OutOfRange.
	ErrCorrupt = errors.New("checkpoint is corrupt")
	// ErrMismatch says that program and checkpoint do not fit each other: a
	// dtype, a shape, an object that has no counterpart.
	ErrMismatch = errors.New("checkpoint does not match the program")
	// ErrNoCheckpoint says that there is nothing to read.
	ErrNoCheckpoint = errors.New("no checkpoint")
)

// Kind names what is wrong with a checkpoint. The list is closed: it is what
// `ckpt verify --json` prints.
type Kind string

// The kinds of damage.
const (
	KindMissing     Kind = "missing"     // a file that is named does not exist
	KindUnreadable  Kind = "unreadable"  // the system refuses to read it
	KindTruncated   Kind = "truncated"   // a file ends before the bytes it should hold
	KindChecksum    Kind = "checksum"    // bytes differ from their CRC-32C
	KindFormat      Kind = "format"      // a file is not a table, or a block or message does not parse
	KindEntry       Kind = "entry"       // an index entry contradicts itself or the header
	KindOverlap     Kind = "overlap"     // two entries claim the same bytes
	KindGraph       Kind = "graph"       // the object graph does not parse or points nowhere
	KindState       Kind = "state"       // the `checkpoint` state file cannot be used
	KindUnsupported Kind = "unsupported" // a format or version this library does not read
)

// CorruptError says where a checkpoint is damaged. Offset and Length are bytes
// in File, −1 where unknown. errors.Is(err, ErrCorrupt) holds for every kind
// but missing, unreadable and unsupported, whose Err tells the class.
type CorruptError struct {
	File   string // name of the damaged file, without its folder where the folder is clear
	Key    string // tensor the damage was found in, "" if none
	Offset int64
	Length int64
	Kind   Kind
	Err    error
	// Explanation is what the checksums say of the damage, where
	// VerifyOptions.Explain asked for it and there is a checksum; else nil.
	Explanation *Explanation
}

func (e *CorruptError) Error() string {
	var b strings.Builder
	b.WriteString(Printable(e.File))
	if e.Key != "" {
		fmt.Fprintf(&b, ": tensor %s", strconv.Quote(e.Key))
	}
	if e.Offset >= 0 {
		fmt.Fprintf(&b, ": offset %d", e.Offset)
		if e.Length >= 0 {
			fmt.Fprintf(&b, ", %d bytes", e.Length)
		}
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	if e.Err != nil {
		b.WriteString(e.Err.Error())
	} else {
		b.WriteString(string(e.Kind))
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// Is reports the class.
func (e *CorruptError) Is(target error) bool {
	if target != ErrCorrupt {
		return false
	}
	return e.Kind != KindMissing && e.Kind != KindUnreadable && e.Kind != KindUnsupported
}

// Corrupt makes a CorruptError whose place in the file is unknown to the
// layer that found it; callers above fill File and Key in with Locate.
func Corrupt(kind Kind, format string, args ...any) *CorruptError {
	return &CorruptError{Offset: -1, Length: -1, Kind: kind, Err: fmt.Errorf(format, args...)}
}

// Locate returns the CorruptError in err's chain with File and Key filled in
// where it has none yet, without what wrapped it. If there is nothing to fill in
// err comes back as it is.
func Locate(err error, file, key string) error {
	var c *CorruptError
	if !errors.As(err, &c) || (c.File != "" || file == "") && (c.Key != "" || key == "") {
		return err // with all that it is wrapped in
	}
	located := *c
	if located.File == "" {
		located.File = file
	}
	if located.Key == "" {
		located.Key = key
	}
	return &located
}

// MismatchError says that one value of the program and one of the checkpoint
// differ in dtype or shape.
type MismatchError struct {
	Key  string // checkpoint key
	Want string // what the program has, "float32 [3]"
	Got  string // what the checkpoint has
	Err  error  // what differs, in TensorFlow's words where it has some
}

func (e *MismatchError) Error() string {
	text := fmt.Sprintf("%s: the program has %s, the checkpoint has %s", Printable(e.Key), e.Want, e.Got)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives what differs.
func (e *MismatchError) Unwrap() error { return e.Err }

// Is reports the class.
func (e *MismatchError) Is(target error) bool { return target == ErrMismatch }

// UnmatchedError lists what has no counterpart on the other side.
type UnmatchedError struct {
	Reason string   // the first sentence, in TensorFlow's words where it has some
	Names  []string // object paths such as (root).model.dense
	Hint   string   // what to do, "" if nothing sensible
}

func (e *UnmatchedError) Error() string {
	const shown = 10
	var b strings.Builder
	b.WriteString(e.Reason)
	for i, name := range e.Names {
		if i == shown {
			fmt.Fprintf(&b, ", … and %d more", len(e.Names)-shown)
			break
		}
		if i == 0 {
			b.WriteString(": ")
		} else {
			b.WriteString(", ")
		}
		b.WriteString(Printable(name))
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// Is reports the class.
func (e *UnmatchedError) Is(target error) bool { return target == ErrMismatch }

// Printable is a name as it may be shown: quoted if it holds what must not reach
// a terminal, because names come from files.
func Printable(name string) string {
	quoted := strconv.Quote(name)
	if plain := quoted[1 : len(quoted)-1]; plain != name {
		return quoted
	}
	return name
}
