package ldap

import "slices"

// Change is what Watch tells of an entry: it was added, changed, renamed or
// removed. A cache forgets the Names. Addresses are in the normal form of
// mail.Address.Key, other names in small letters and Unicode form C.
type Change struct {
	DN  string   // as it is, or last was; may be empty
	Old []string // names of the user before: addresses, and what else he logs in with
	New []string // names of the user now; none when the entry is gone

	// All says that anything may have changed: a cache forgets everything.
	// The other fields are empty then.
	All bool
}

// Names returns the names under which a cache may hold the entry, old and new,
// each once.
func (c Change) Names() []string {
	names := slices.Concat(c.Old, c.New)
	slices.Sort(names)
	return slices.Compact(names)
}
