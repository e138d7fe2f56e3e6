package transfer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/posthouse-mail/posthouse/internal/utf7"
	"github.com/posthouse-mail/posthouse/storage"
)

// maxFile bounds the name of a directory or file, in octets. The system
// allows 255, and names of ours stand behind some.
const maxFile = 200

// shorten makes a name fit for a file. What it cuts off is in the state of the
// mailbox.
func shorten(name string) string {
	if len(name) <= maxFile {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	cut := maxFile - 33
	for cut > 0 && !utf8.RuneStart(name[cut]) {
		cut--
	}
	return name[:cut] + "-" + hex.EncodeToString(sum[:16])
}

// maildirName writes the name of a mailbox as Maildir++ has it, without the
// dot at its beginning.
func maildirName(name string) string {
	if name == storage.Inbox {
		return name
	}
	tilde := strings.HasPrefix(name, "~")
	name = strings.NewReplacer(`\`, `\5c`, ".", `\2e`, storage.Separator, ".").Replace(name)
	if tilde {
		name = `\7e` + name[1:]
	}
	return utf7.Encode(name)
}

// fromMaildirName reads what maildirName or another program wrote. What is no
// modified UTF-7 is taken as it stands.
func fromMaildirName(name string) string {
	if decoded, err := utf7.Decode(name); err == nil {
		name = decoded
	}
	levels := strings.Split(name, ".")
	for i, level := range levels { // an escaped separator can't come back as one
		levels[i] = strings.ReplaceAll(unescape(level, '\\'), storage.Separator, "_")
	}
	return strings.Join(levels, storage.Separator)
}

// escaped writes an octet as two digits behind a mark.
func escaped(mark, c byte) string { return fmt.Sprintf("%c%02x", mark, c) }

// unescape undoes escaped wherever two digits follow a mark.
func unescape(s string, mark byte) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == mark && i+3 <= len(s) {
			if c, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				out.Write(c)
				i += 2
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// mboxLevel writes one level of a mailbox name as a file name. Names of
// mailboxes have no '%'.
func mboxLevel(level string) string {
	if strings.HasPrefix(level, ".") {
		level = escaped('%', '.') + level[1:]
	}
	if stem := len(level) - len(mboxSuffix); stem >= 0 && strings.EqualFold(level[stem:], mboxSuffix) {
		level = level[:stem] + escaped('%', '.') + level[stem+1:]
	}
	return shorten(level)
}

// usableName turns the name of a folder into one that a store allows, as like
// to it as can be.
func usableName(name string) string {
	if clean, err := storage.CleanName(name); err == nil {
		return clean
	}
	name = strings.Map(func(c rune) rune {
		if c == '*' || c == '%' || c == '\u2028' || c == '\u2029' || unicode.IsControl(c) {
			return '_'
		}
		return c
	}, strings.ToValidUTF8(name, "_"))
	levels := strings.Split(name, storage.Separator)
	for i, level := range levels {
		if strings.Trim(level, ".") == "" && len(level) < 3 {
			levels[i] = "_" + level
		}
	}
	if more := len(levels) - storage.MaxLevels; more > 0 {
		levels = append(levels[:storage.MaxLevels-1], strings.Join(levels[storage.MaxLevels-1:], "_"))
	}
	clean, err := storage.CleanName(strings.Join(levels, storage.Separator))
	if err != nil { // too long
		sum := sha256.Sum256([]byte(name))
		return "Imported " + hex.EncodeToString(sum[:16])
	}
	return clean
}
