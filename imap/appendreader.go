package imap

// appendReader reads a command piece by piece, as it arrives: the text up to a
// literal, and what follows once somebody has taken that literal. Together, the
// texts and the literals that are strings are bounded as any other command is.
type appendReader struct {
	s          *session
	p          *parser // of the text since the last literal
	spent      int     // octets of texts and strings so far
	literals   int     // that were strings
	catenating bool
}

// begin reads the arguments of the running command.
func (r *appendReader) begin(s *session) {
	r.s = s
	s.in.own()
	r.spent = len(s.in.buf)
	r.parse(s.running.args)
}

func (r *appendReader) parse(from int) {
	r.p = &parser{buf: r.s.in.buf, pos: from, utf8: r.s.enabled(rev2 | utf8only)}
}

// next goes on to the text behind the literal that was taken.
func (r *appendReader) next() error {
	in := &r.s.in
	in.buf, in.lits, in.next = nil, nil, nil
	line, err := in.line()
	if err != nil {
		return err
	}
	if r.spent += len(line); r.spent > r.s.limits.Command {
		return errTooBig
	}
	in.buf = append([]byte(nil), line...)
	in.announced()
	r.parse(0)
	return nil
}

// done reports whether the command is complete.
func (r *appendReader) done() bool {
	return r.p.err == nil && r.p.pos == len(r.p.buf) && r.s.in.next == nil
}

// atLiteral reports whether a literal is announced next.
func (r *appendReader) atLiteral() bool {
	next := r.s.in.next
	return r.p.err == nil && next != nil && next.mark == r.p.pos
}

// astring reads an astring, which may be a literal. An error is left in the
// parser.
func (r *appendReader) astring() string {
	if !r.atLiteral() {
		return r.p.astring()
	}
	in := &r.s.in
	l := *in.next
	if l.binary {
		r.p.fail(binaryNotAllowed)
		return ""
	}
	if r.literals++; r.literals > r.s.limits.Literals || l.size > int64(r.s.limits.Command-r.spent) {
		r.p.refuse(errTooBig)
		return ""
	}
	if err := in.collectLiteral(); err != nil {
		r.p.refuse(err)
		return ""
	}
	r.spent += int(l.size)
	last := &parser{buf: in.buf, lits: in.lits, pos: l.mark}
	text := last.string()
	if err := r.next(); err != nil {
		r.p.refuse(err)
	} else if last.err != nil {
		r.p.refuse(last.err)
	}
	return text
}

// refused reads away what is left of a command that ends in an error.
func (r *appendReader) refused(err error) error {
	if endsSession(err) {
		return err
	}
	return r.s.refused(err)
}
