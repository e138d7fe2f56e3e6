package imap

import (
	"slices"
	"strings"

	"github.com/posthouse-mail/posthouse/storage"
)

// tree knows of each name in an account's list whether it has children.
type tree struct {
	children   map[string]bool // that exist
	subscribed map[string]bool // names with a subscribed name below them
}

func newTree(infos []storage.MailboxInfo) *tree {
	t := &tree{children: make(map[string]bool), subscribed: make(map[string]bool)}
	for _, info := range infos {
		for parent := range parents(info.Name) {
			t.children[parent] = t.children[parent] || info.ID != 0
			t.subscribed[parent] = t.subscribed[parent] || info.Subscribed
		}
	}
	return t
}

// parents yields the names above a name, the nearest first.
func parents(name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for {
			i := strings.LastIndex(name, storage.Separator)
			if i < 0 {
				return
			}
			name = name[:i]
			if !yield(name) {
				return
			}
		}
	}
}

// withParents adds the parents of names that are only subscribed: nothing
// says that they exist.
func (t *tree) withParents(infos []storage.MailboxInfo) []storage.MailboxInfo {
	have := make(map[string]bool, len(infos))
	for _, info := range infos {
		have[info.Name] = true
	}
	out := slices.Clone(infos)
	for name := range t.subscribed {
		if !have[name] {
			out = append(out, storage.MailboxInfo{Name: name})
		}
	}
	return inListOrder(out)
}

func rank(name string) int {
	if name == storage.Inbox {
		return 0
	}
	return 1
}
