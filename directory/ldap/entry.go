package ldap

import "strings"

// Entry is what a search found.
type Entry struct {
	DN     string
	values map[string][]string // by the attribute's name in small letters
}

// NewEntry returns an entry with some attributes.
func NewEntry(dn string, attributes map[string][]string) *Entry {
	e := &Entry{DN: dn, values: make(map[string][]string, len(attributes))}
	for name, values := range attributes {
		e.values[strings.ToLower(name)] = values
	}
	return e
}

// All returns the values of an attribute, named in any letter case. They are
// octets as the server sent them.
func (e *Entry) All(attribute string) []string { return e.values[strings.ToLower(attribute)] }

// Get returns the first value of an attribute; empty when there is none.
func (e *Entry) Get(attribute string) string {
	if all := e.All(attribute); len(all) > 0 {
		return all[0]
	}
	return ""
}
