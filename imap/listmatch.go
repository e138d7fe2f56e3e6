package imap

import (
	"slices"
	"strings"

	"github.com/posthouse-mail/posthouse/storage"
)

// listPattern matches mailbox names against a LIST pattern: "*" stands for
// anything, "%" for anything within a level (RFC 9051 §6.3.9). All ways of
// matching are followed at once, one bit each, so that a match takes
// len(name) * len(pattern) / 64 steps whatever the pattern is. It is not for
// concurrent use.
type listPattern struct {
	takes   map[byte]bits // states that an octet leads on from
	star    bits          // states at "*"
	percent bits          // states at "%"
	final   int           // the state that has seen all of the pattern
	levels  bool          // matches names that are there for those below them only
	now     bits          // states reached
	then    bits          // states reached with one octet more
}

type bits []uint64

func (b bits) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bits) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

func newListPattern(pattern string) *listPattern {
	pattern = collapse(pattern)
	words := len(pattern)/64 + 1
	m := &listPattern{
		takes: make(map[byte]bits), star: make(bits, words), percent: make(bits, words),
		now: make(bits, words), then: make(bits, words), final: len(pattern), levels: !strings.HasSuffix(pattern, "*"),
	}
	for i := range len(pattern) {
		switch c := pattern[i]; c {
		case '*':
			m.star.set(i)
		case '%':
			m.percent.set(i)
		default:
			if m.takes[c] == nil {
				m.takes[c] = make(bits, words)
			}
			m.takes[c].set(i)
		}
	}
	return m
}

// collapse makes one wildcard of a run of them.
func collapse(pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); {
		run := len(pattern[i:]) - len(strings.TrimLeft(pattern[i:], "*%"))
		switch {
		case run == 0:
			b.WriteByte(pattern[i])
			i++
			continue
		case strings.Contains(pattern[i:i+run], "*"):
			b.WriteByte('*')
		default:
			b.WriteByte('%')
		}
		i += run
	}
	return b.String()
}

// match reports whether the whole name matches.
func (m *listPattern) match(name string) bool {
	m.run(name)
	return m.now.has(m.final)
}

// reaches reports whether names that begin so can match.
func (m *listPattern) reaches(beginning string) bool {
	m.run(beginning)
	return slices.ContainsFunc(m.now, func(states uint64) bool { return states != 0 })
}

// run follows a name from the beginning of the pattern.
func (m *listPattern) run(name string) {
	clear(m.now)
	m.now.set(0)
	m.skipWild(m.now)
	folded := 0
	if name == storage.Inbox || strings.HasPrefix(name, storage.Inbox+storage.Separator) {
		folded = len(storage.Inbox) // INBOX is one name in any letter case
	}
	for i := range len(name) {
		c := name[i]
		m.step(c, m.takes[c])
		if i < folded {
			m.also(m.takes[c|0x20])
		}
		m.skipWild(m.then)
		m.now, m.then = m.then, m.now
	}
}

// step follows an octet from all states reached.
func (m *listPattern) step(c byte, takes bits) {
	carry := uint64(0)
	for w, reached := range m.now {
		on := uint64(0)
		if takes != nil {
			on = reached & takes[w]
		}
		stay := reached & m.star[w]
		if c != storage.Separator[0] {
			stay |= reached & m.percent[w]
		}
		m.then[w] = stay | on<<1 | carry
		carry = on >> 63
	}
}

// also adds the states that a second form of the octet leads to.
func (m *listPattern) also(takes bits) {
	if takes == nil {
		return
	}
	carry := uint64(0)
	for w, reached := range m.now {
		on := reached & takes[w]
		m.then[w] |= on<<1 | carry
		carry = on >> 63
	}
}

// skipWild lets wildcards stand for nothing. Two of them are never neighbours.
func (m *listPattern) skipWild(states bits) {
	carry := uint64(0)
	for w, reached := range states {
		wild := reached & (m.star[w] | m.percent[w])
		states[w] = reached | wild<<1 | carry
		carry = wild >> 63
	}
}
