package imap

import (
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/internal/utf7"
	"github.com/posthouse-mail/posthouse/storage"
)

// maxLevel bounds one level of a new mailbox's name, in octets.
const maxLevel = 255

var errName = no(imap.ResponseCodeCannot, "Mailbox name not allowed")

// mailbox reads a mailbox name and brings it into the store's form. What no
// mailbox can be called becomes "".
func (p *parser) mailbox() string { return p.decodeName(p.astring()) }

func (p *parser) decodeName(name string) string {
	if !p.utf8 {
		var err error
		if name, err = utf7.Decode(name); err != nil {
			return ""
		}
	}
	name, err := storage.CleanName(name)
	if err != nil {
		return ""
	}
	return name
}

// creatable refuses names that a new mailbox must not have although a store
// might take them: file systems and other servers can't carry them.
func creatable(name string) error {
	if name == "" {
		return errName
	}
	for level := range strings.SplitSeq(name, storage.Separator) {
		if len(level) > maxLevel || strings.HasSuffix(level, ".") || level != strings.TrimSpace(level) || isDevice(level) {
			return errName
		}
	}
	return nil
}

// isDevice reports whether a level is the name of a device on systems where
// such names can't be folders.
func isDevice(level string) bool {
	stem, _, _ := strings.Cut(strings.ToUpper(level), ".")
	switch stem {
	case "CON", "PRN", "AUX", "NUL":
		return true
	}
	return len(stem) == 4 && (stem[:3] == "COM" || stem[:3] == "LPT") && stem[3] >= '1' && stem[3] <= '9'
}
