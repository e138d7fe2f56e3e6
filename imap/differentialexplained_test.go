package imap

import "regexp"

// explanation says why lines of an answer stand there on one side only.
type explanation struct {
	dialogue string // "": any
	command  string // a regexp for the whole of it; "": any
	side     string // "here" or "Dovecot"; "": both
	text     string // a regexp for the whole normal line
	why      string
}

// explain finds the explanation of a difference, and marks it as used.
func explain(dialogue string, d difference, used []bool) bool {
	for i, e := range explained {
		if (e.dialogue == "" || e.dialogue == dialogue) && (e.side == "" || e.side == d.side) &&
			matchesWhole(e.command, d.command) && matchesWhole(e.text, d.text) {
			used[i] = true
			return true
		}
	}
	return false
}

func matchesWhole(pattern, s string) bool {
	return pattern == "" || regexp.MustCompile(`(?s)^(?:`+pattern+`)$`).MatchString(s)
}

// explained lists every difference between this server and Dovecot 2.3.
var explained = []explanation{
	// Mailboxes.
	{"list", `CREATE INBOX`, "", `tagged .*`, "Dovecot makes INBOX by CREATE; RFC 3501 §6.3.3 calls that an error"},
	{"list", `LIST .*`, "", `LIST \(\\Has(No)?Children( \\Noselect)?\) "/" "(deep|deep/er|trailing)"`,
		"parents of a new mailbox, and a name with a separator at its end, are mailboxes here that can be selected"},
	{"list", `LIST \(SUBSCRIBED\).*|LIST \(RECURSIVEMATCH.*`, "", `LIST \((\\HasChildren )?\\Subscribed\) .*`,
		"\\HasChildren is told unasked here (RFC 5258 §4)"},
	{"list", `LIST \(RECURSIVEMATCH SUBSCRIBED\).*`, "", `LIST \(.*\) "/" "a" \("?CHILDINFO"? .*`,
		"the name of an extended data item may be a string or an atom (RFC 5258 §6)"},
	{"list", `LIST "" a RETURN .*`, "", `LIST \(.*\) "/" "a"`, "\\HasChildren is told unasked here (RFC 5258 §4)"},
	{"list", `DELETE z/b`, "", `tagged (OK|NO .HASCHILDREN.)`, "a mailbox with children is kept here, Dovecot leaves its name (RFC 9051 §6.3.4 allows both)"},
	{"list", `DELETE INBOX`, "", `tagged NO( .CANNOT.)?`, "Dovecot gives no response code"},
	{"select", `(STATUS|SELECT) missing.*`, "", `tagged NO( .NONEXISTENT.)?`, "Dovecot gives no response code"},
	{"select", `SELECT ""`, "", `tagged NO .*`, "Dovecot says that the empty name can't be one, here there is no such mailbox"},
	{"select", `STATUS .*`, "", `tagged OK( .CLIENTBUG.)?`, "Dovecot complains of STATUS on the selected mailbox (RFC 9051 §6.3.11)"},

	{"", `CREATE .*`, "", `tagged OK( .MAILBOXID .*)?`, "Dovecot 2.3 has no OBJECTID"},
	{"", `(2: )?(SELECT|EXAMINE) .*`, "here", `OK .MAILBOXID .*`, "Dovecot 2.3 has no OBJECTID"},
	{"", `(2: )?(SELECT|EXAMINE) .*`, "here", `OK .HIGHESTMODSEQ M.`, "Dovecot tells HIGHESTMODSEQ where mod-sequences are in use already"},
	{"qresync", `NOOP`, "", `(tagged )?OK( .HIGHESTMODSEQ M.)?`, "after VANISHED of others Dovecot has HIGHESTMODSEQ in the tagged OK, here it is untagged"},

	// \Recent.
	{"", `EXAMINE INBOX`, "", `\d+ RECENT`, "EXAMINE shows no message as recent here; it takes no \\Recent away either"},
	{"select", `COPY 1 INBOX`, "", `\d RECENT`, "nor does a mailbox that EXAMINE has opened"},
	{"fetch", `FETCH 1 FAST|UID FETCH 1:3 \(FLAGS\)`, "", `\d FETCH \(FLAGS .*`, "nor FETCH after EXAMINE; for INTERNALDATE see below"},
	{"", `(2: )?(UID )?(MOVE|EXPUNGE|NOOP).*`, "Dovecot", `\d RECENT`, "Dovecot tells RECENT when an expunge has lowered it; it is no longer told here"},

	// Flags and what is told.
	{"change", `(2: )?(STORE|NOOP).*`, "Dovecot", `OK \[PERMANENTFLAGS .*`, "Dovecot tells PERMANENTFLAGS after a new keyword, here FLAGS alone is told"},
	{"change", `STORE 1 \+FLAGS \(\\(Recent|Nonsense)\)`, "", `tagged .*|1 FETCH .*`, "system flags that can't be stored are passed over here, Dovecot calls them bad"},
	{"", `2: NOOP`, "", `\d FETCH \(FLAGS \([^)]*\)( UID \d)?\)`, "FETCH that nobody asked for has the UID here (RFC 9051 §7.5.2)"},
	{"change", `2: STORE 1 \+FLAGS \(\\Deleted\)`, "here", `1 FETCH .*`, "STORE that changes nothing is answered here all the same (RFC 9051 §6.4.6)"},
	{"search", `SEARCH KEYWORD \$Nothing`, "Dovecot", `(OK .PERMANENT)?FLAGS .*`, "in Dovecot a search for a keyword makes it"},
	{"change", `(STORE|MOVE|EXPUNGE).*`, "", `tagged (OK|NO .CANNOT.)`, "after EXAMINE changes are refused here; Dovecot ignores STORE and EXPUNGE and does MOVE"},
	{"change", `MOVE 1 INBOX`, "Dovecot", `OK .COPYUID.*|1 EXPUNGE`, "after EXAMINE Dovecot moves all the same"},
	{"select", `STORE 1 \+FLAGS .*`, "", `tagged (OK|NO .CANNOT.)`, "after EXAMINE Dovecot ignores STORE"},

	// Content.
	{"fetch", `FETCH 1 (INTERNALDATE|FAST)`, "", `1 FETCH \(.*INTERNALDATE.*`, "the zone of INTERNALDATE is kept here, Dovecot shows its own"},
	{"fetch", `FETCH 1:\* ENVELOPE`, "", `7 FETCH .*a subject that is folded {1,2}twice.*`, "unfolding removes line ends only here (RFC 5322 §2.2.3), Dovecot joins blanks"},
	{"fetch", `FETCH 1:\* ENVELOPE`, "", `13 FETCH .*`, "Dovecot can't read a local part of atoms and quoted words (RFC 5322 §4.4)"},
	{"fetch", `FETCH 1:\* BODY(STRUCTURE)?`, "", `\d+ FETCH \(BODY(STRUCTURE)? \("text" "plain" (NIL|\("charset" "us-ascii"\)) NIL NIL "7bit" \d+ \d+( NIL NIL NIL NIL)?\)\)`,
		"Dovecot adds the default charset"},
	{"fetch", `FETCH 1:\* BODY(STRUCTURE)?`, "", `2 FETCH .*`,
		"Dovecot adds the default charset, counts no last line without a line end, and lists a single language in parentheses"},
	{"fetch", `FETCH 1:\* BODY\.PEEK.*`, "", `\d+ FETCH \(BODY\[[1-4.]+(MIME)?\] (NIL|"")\)`, "a part that is not there is NIL here, empty in Dovecot"},
	{"fetch", `FETCH 1:\* BODY\.PEEK.1\.1.`, "Dovecot", `\d+ FETCH \(BODY\[1\.1\] ".+"\)`, "Dovecot takes 1.1 for 1 where 1 has no parts"},
	{"fetch", `FETCH 1:\* BODY\.PEEK.2.`, "", `3 FETCH .*`, "the line end before a delimiter belongs to the delimiter (RFC 2046 §5.1.1), also after a part that is a multipart"},
	{"fetch", `FETCH 2 BODY\.PEEK.3.HEADER.FIELDS \(subject\).`, "", `2 FETCH .*`, "names of fields come back here as the client wrote them"},
	{"fetch", `FETCH 12 BINARY\.PEEK.1.`, "Dovecot", `12 FETCH \(UID 12\)`, "Dovecot says something of a message whose encoding it does not know"},
	{"fetch", `FETCH 1 BODY.0.|FETCH 1 BODY..<0\.0>`, "", `tagged .*|1 FETCH .*`, "part 0 and a partial of no octets are against the syntax (RFC 9051 §9)"},

	{"sort", `SORT \((REVERSE )?(DISPLAY)?FROM.*`, "", `SORT .*`, "Dovecot can't read a local part of atoms and quoted words (RFC 5322 §4.4)"},

	{"", `SEARCH CHARSET NONSENSE .*|SORT \(DATE\) NONSENSE .*`, "", `tagged NO .BADCHARSET.*`, "the charsets that would do are listed here"},
}
