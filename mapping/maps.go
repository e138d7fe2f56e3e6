package mapping

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// ErrBadName is the error of a map's name that is empty, holds spaces or
// control characters, or is taken; and of one that nobody added.
var ErrBadName = errors.New("bad name of a user map")

// Maps are the user maps of a system by their names: each service picks one of
// them. It is filled before it is used: Add and For must not be called at the
// same time.
type Maps struct {
	// Default is where everybody lives for a service that picks no map.
	Default Route

	byName map[string]Mapper
}

// Add adds a map under a name without spaces. ErrBadName.
func (m *Maps) Add(name string, mapper Mapper) error {
	switch {
	case name == "" || !cleanName(name) || strings.ContainsFunc(name, unicode.IsSpace):
		return fmt.Errorf("%w: %.40q is empty or holds spaces", ErrBadName, name)
	case m.byName[name] != nil:
		return fmt.Errorf("%w: two are called %q", ErrBadName, name)
	}
	if m.byName == nil {
		m.byName = make(map[string]Mapper)
	}
	m.byName[name] = mapper
	return nil
}

// For returns the map that a service picks by name. With an empty name that is
// a Static of Default; ErrBadRoute when that leads nowhere. ErrBadName for a
// name that nobody added: a service must not start with another map than it asks for.
func (m *Maps) For(name string) (Mapper, error) {
	if name == "" {
		if err := m.Default.Check(); err != nil {
			return nil, fmt.Errorf("default back end: %w", err)
		}
		return Static(m.Default), nil
	}
	if mapper, ok := m.byName[name]; ok {
		return mapper, nil
	}
	return nil, fmt.Errorf("%w: there is no %.40q", ErrBadName, name)
}

// Names returns the names, sorted.
func (m *Maps) Names() []string { return slices.Sorted(maps.Keys(m.byName)) }
