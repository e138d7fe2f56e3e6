package transfer

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// fileName is what the name of a message's file in a Maildir says.
type fileName struct {
	base     string // what stays when the flags change
	info     string // the letters behind ":2,"
	seconds  int64  // the number at its beginning: when it was delivered
	validity uint32 // 0: Export did not write it
	uid      imap.UID
	date     time.Time // zero: the name does not say
	ends     lineEnds
	sets     int64 // where in posthouse-keywords further keywords are; -1: nowhere
}

const writtenBy = "posthouse"

// newBase makes the base of a file's name.
func newBase(validity uint32, m storage.Message, c content, sets int64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d.V%dU%d.%s,S=%d", max(m.Date.Unix(), 0), validity, m.UID, writtenBy, c.written)
	if c.ends == crlf {
		fmt.Fprintf(&b, ",W=%d", m.Size)
	}
	fmt.Fprintf(&b, ",D=%d%s", m.Date.Unix(), m.Date.Format("-0700"))
	if c.ends == raw {
		b.WriteString(",L=raw")
	}
	if sets >= 0 {
		fmt.Fprintf(&b, ",K=%d", sets)
	}
	return b.String()
}

// parseFileName reads the name of any file in a Maildir. It never fails: what
// is not understood is not there.
func parseFileName(name string) fileName {
	f := fileName{ends: crlf, sets: -1}
	f.base, f.info, _ = strings.Cut(name, ":")
	f.info, _ = strings.CutPrefix(f.info, "2,")
	unique, fields, _ := strings.Cut(f.base, ",")
	seconds, rest, _ := strings.Cut(unique, ".")
	f.seconds, _ = strconv.ParseInt(seconds, 10, 64)
	f.validity, f.uid = parseIdentity(rest)
	if f.validity == 0 {
		return f
	}
	for field := range strings.SplitSeq(fields, ",") {
		switch key, value, _ := strings.Cut(field, "="); key {
		case "D":
			f.date = parseStamp(value)
		case "L":
			f.ends = lineEnds(value)
		case "K":
			if n, err := strconv.ParseUint(value, 10, 62); err == nil {
				f.sets = int64(n)
			}
		}
	}
	return f
}

// parseIdentity reads "V1U2.posthouse".
func parseIdentity(s string) (validity uint32, uid imap.UID) {
	s, ok := strings.CutSuffix(s, "."+writtenBy)
	v, u, both := strings.Cut(strings.TrimPrefix(s, "V"), "U")
	if !ok || !both || s[0] != 'V' {
		return 0, 0
	}
	a, err := strconv.ParseUint(v, 10, 32)
	if err != nil {
		return 0, 0
	}
	b, err := strconv.ParseUint(u, 10, 32)
	if err != nil || b == 0 {
		return 0, 0
	}
	return uint32(a), imap.UID(b)
}

// parseStamp reads "1764000000+0100"; zero when it is something else.
func parseStamp(s string) time.Time {
	at := strings.LastIndexAny(s, "+-")
	if at <= 0 {
		return time.Time{}
	}
	seconds, err := strconv.ParseInt(s[:at], 10, 64)
	if err != nil {
		return time.Time{}
	}
	zone, err := time.Parse("-0700", s[at:])
	if err != nil {
		return time.Time{}
	}
	_, offset := zone.Zone()
	return storage.TrimDate(time.Unix(seconds, 0).In(time.FixedZone("", offset)))
}

// compareFiles is the order in which files are imported: what Export wrote by
// UID, then the others by the time of their delivery.
func compareFiles(a, b fileName) int {
	switch {
	case (a.validity != 0) != (b.validity != 0):
		return cmp.Compare(b.validity, a.validity)
	case a.validity != 0:
		return cmp.Or(cmp.Compare(a.validity, b.validity), cmp.Compare(a.uid, b.uid), cmp.Compare(a.base, b.base))
	}
	return cmp.Or(cmp.Compare(a.seconds, b.seconds), cmp.Compare(a.base, b.base))
}

var infoLetters = []struct {
	letter byte
	flag   storage.SystemFlags
}{{'D', storage.Draft}, {'F', storage.Flagged}, {'R', storage.Answered}, {'S', storage.Seen}, {'T', storage.Deleted}}

// infoOf writes flags as letters, in the order of their octets. letters are
// those of the keywords.
func infoOf(f storage.Flags, letters string) string {
	var b []byte
	for _, l := range infoLetters {
		if l.letter == 'R' && f.HasKeyword(forwarded) {
			b = append(b, 'P')
		}
		if f.Has(l.flag) {
			b = append(b, l.letter)
		}
	}
	return string(b) + letters
}

// flagsOf reads the letters of a file's name. more are keywords that are not
// among them.
func flagsOf(info string, table keywordTable, more []imap.Flag) storage.Flags {
	var system storage.SystemFlags
	keywords := more
	passed := false
	for _, c := range []byte(info) {
		for _, l := range infoLetters {
			if l.letter == c {
				system |= l.flag
			}
		}
		if k := table.keyword(c); k != "" {
			keywords = append(keywords, k)
		}
		passed = passed || c == 'P'
	}
	if passed {
		keywords = append(keywords, forwarded)
	}
	f := storage.NewFlags(keywords...)
	f.System = system
	return f
}
