package keras

import (
	"fmt"
	"strings"
	"sync"
	"unicode"
)

// counters number the objects that were made without a name, by name, as Keras
// does; they belong to the process.
var counters struct {
	sync.Mutex
	next map[string]int
}

// ClearSession starts the numbers of automatic names again, so that the next
// Dense is called dense: keras.backend.clear_session. Objects keep the names
// they have. It is safe for concurrent use.
//
// Names are no part of edges or keys: a restore does not depend on them, but
// the bytes of a checkpoint do.
func ClearSession() {
	counters.Lock()
	defer counters.Unlock()
	counters.next = nil
}

// autoName is the next name for an object of a class: dense, dense_1, …
func autoName(class string) string {
	name := snakeCase(class)
	counters.Lock()
	defer counters.Unlock()
	if counters.next == nil {
		counters.next = make(map[string]int)
	}
	n := counters.next[name]
	counters.next[name]++
	if n == 0 {
		return name
	}
	return fmt.Sprintf("%s_%d", name, n)
}

// named is the given name, or the class's next one.
func named(name, class string) string {
	if name != "" {
		return name
	}
	return autoName(class)
}

// snakeCase turns the name of a class into that of an object, as
// keras.src.utils.naming.to_snake_case: what is no letter, digit or underscore
// goes; an ASCII capital that is not the first character gets an underscore in
// front if an ASCII lower-case letter is beside it.
func snakeCase(class string) string {
	var kept []rune
	for _, r := range class {
		if r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsNumber(r) {
			kept = append(kept, r)
		}
	}
	var b strings.Builder
	for i, r := range kept {
		if i > 0 && 'A' <= r && r <= 'Z' && (lower(kept[i-1]) || i+1 < len(kept) && lower(kept[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

func lower(r rune) bool { return 'a' <= r && r <= 'z' }
