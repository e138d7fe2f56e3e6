package storage

import "fmt"

// Level is a usual choice of rights under one name. Each level but NoAccess
// allows what the one before it allows and more, and leaves the rest not set,
// so that other entries can add to it.
type Level uint8

// The levels. The zero Level is that of every entry that is none of the others.
const (
	Custom      Level = iota
	NoAccess          // all rights are denied
	Viewer            // sees and reads
	Contributor       // and adds messages, also by mail
	Editor            // and changes flags, and deletes messages
	Master            // has all rights
)

var levels = [...]struct {
	name        string
	allow, deny Rights
}{
	Custom:      {name: "custom"},
	NoAccess:    {name: "no access", deny: AllRights},
	Viewer:      {name: "viewer", allow: viewerRights},
	Contributor: {name: "contributor", allow: contributorRights},
	Editor:      {name: "editor", allow: editorRights},
	Master:      {name: "master", allow: AllRights},
}

const (
	viewerRights      = RightLookup | RightRead
	contributorRights = viewerRights | RightInsert | RightPost
	editorRights      = contributorRights | RightSeen | RightWrite | RightDeleteMessages | RightExpunge
)

// String returns the level's name in lower case.
func (l Level) String() string {
	if int(l) >= len(levels) {
		return fmt.Sprintf("level(%d)", uint8(l))
	}
	return levels[l].name
}

// Entry returns the entry that gives an identifier this level. That of Custom,
// which stands for no rights of its own, is without any.
func (l Level) Entry(identifier string) ACE {
	e := ACE{Identifier: identifier}
	if int(l) < len(levels) {
		e.Allow, e.Deny = levels[l].allow, levels[l].deny
	}
	return e
}

// Level returns the level whose entry e is, Custom when it is none's.
func (e ACE) Level() Level {
	for l := NoAccess; int(l) < len(levels); l++ {
		if e == l.Entry(e.Identifier) {
			return l
		}
	}
	return Custom
}
