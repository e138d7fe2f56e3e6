package ldap

import (
	"slices"
	"strings"
)

// Entry is what a search found.
type Entry struct {
	DN         string
	attributes []attribute
}

type attribute struct {
	name   string // as the server spells it, with its options
	values []string
}

// NewEntry returns an entry with some attributes.
func NewEntry(dn string, attributes map[string][]string) *Entry {
	e := &Entry{DN: dn}
	for name, values := range attributes {
		e.attributes = append(e.attributes, attribute{name, values})
	}
	slices.SortFunc(e.attributes, func(a, b attribute) int { return strings.Compare(a.name, b.name) })
	return e
}

// Names returns the names of the attributes, as the server spells them.
func (e *Entry) Names() []string {
	names := make([]string, len(e.attributes))
	for i, a := range e.attributes {
		names[i] = a.name
	}
	return names
}

// All returns the values of an attribute, named in any letter case. They are
// octets as the server sent them.
func (e *Entry) All(attribute string) []string {
	for i := range e.attributes {
		if strings.EqualFold(e.attributes[i].name, attribute) {
			return e.attributes[i].values
		}
	}
	return nil
}

// Get returns the first value of an attribute; empty when there is none.
func (e *Entry) Get(attribute string) string {
	if all := e.All(attribute); len(all) > 0 {
		return all[0]
	}
	return ""
}
