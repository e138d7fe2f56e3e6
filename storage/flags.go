package storage

import (
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// SystemFlags are the flags of RFC 9051 §2.3.2 as bits.
type SystemFlags uint8

// The system flags that a store keeps. \Recent is not kept, see Recenter.
const (
	Seen SystemFlags = 1 << iota
	Answered
	Flagged
	Deleted
	Draft
)

var systemFlags = []imap.Flag{imap.FlagSeen, imap.FlagAnswered, imap.FlagFlagged, imap.FlagDeleted, imap.FlagDraft}

// Flags are the flags of one message. The zero value is no flags. Keywords
// are sorted without regard to letter case, each once, and shared: never
// change them in place.
type Flags struct {
	System   SystemFlags
	Keywords []imap.Flag
}

// NewFlags builds Flags from names in any letter case and order. Unknown
// names that begin with a backslash, \Recent among them, are dropped.
func NewFlags(names ...imap.Flag) Flags {
	var f Flags
	for _, n := range names {
		if i := slices.IndexFunc(systemFlags, func(s imap.Flag) bool { return strings.EqualFold(string(s), string(n)) }); i >= 0 {
			f.System |= 1 << i
		} else if n != "" && n[0] != '\\' {
			f.Keywords = append(f.Keywords, n)
		}
	}
	f.Keywords = sortKeywords(f.Keywords)
	return f
}

// Names returns the flags as IMAP writes them, system flags first.
func (f Flags) Names() []imap.Flag {
	names := make([]imap.Flag, 0, len(systemFlags)+len(f.Keywords))
	for i, s := range systemFlags {
		if f.System&(1<<i) != 0 {
			names = append(names, s)
		}
	}
	return append(names, f.Keywords...)
}

// Has reports whether all system flags of s are set.
func (f Flags) Has(s SystemFlags) bool { return f.System&s == s }

// HasKeyword reports whether a keyword is set, in any letter case.
func (f Flags) HasKeyword(k imap.Flag) bool {
	_, ok := slices.BinarySearchFunc(f.Keywords, k, compareKeywords)
	return ok
}

// Bounds of the keywords that a store keeps with one message.
const (
	MaxKeywords = 100
	MaxKeyword  = 100 // octets of one
)

// Check returns ErrLimit when a message can't have these flags because of the
// number or length of its keywords.
func (f Flags) Check() error {
	if len(f.Keywords) > MaxKeywords {
		return fmt.Errorf("%w: %d keywords", ErrLimit, len(f.Keywords))
	}
	for _, k := range f.Keywords {
		if len(k) > MaxKeyword {
			return fmt.Errorf("%w: a keyword of %d octets", ErrLimit, len(k))
		}
	}
	return nil
}

// Equal reports whether two sets of flags are the same.
func (f Flags) Equal(g Flags) bool {
	return f.System == g.System && slices.EqualFunc(f.Keywords, g.Keywords,
		func(a, b imap.Flag) bool { return compareKeywords(a, b) == 0 })
}

// Apply returns f after one STORE operation with g.
func (f Flags) Apply(op imap.StoreFlagsOp, g Flags) Flags {
	switch op {
	case imap.StoreFlagsAdd:
		f.System |= g.System
		if len(g.Keywords) > 0 {
			f.Keywords = sortKeywords(append(slices.Clone(f.Keywords), g.Keywords...))
		}
	case imap.StoreFlagsDel:
		f.System &^= g.System
		if len(f.Keywords) > 0 && len(g.Keywords) > 0 {
			f.Keywords = slices.DeleteFunc(slices.Clone(f.Keywords), g.HasKeyword)
		}
	default:
		f = g
	}
	if len(f.Keywords) == 0 {
		f.Keywords = nil
	}
	return f
}

func sortKeywords(k []imap.Flag) []imap.Flag {
	slices.SortStableFunc(k, compareKeywords)
	return slices.CompactFunc(k, func(a, b imap.Flag) bool { return compareKeywords(a, b) == 0 })
}

func compareKeywords(a, b imap.Flag) int {
	return strings.Compare(strings.ToLower(string(a)), strings.ToLower(string(b)))
}
