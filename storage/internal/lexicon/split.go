package lexicon

// Runs of more than longest octets are cut into pieces that overlap: each
// begins step octets after the one before it, and all but the last have longest
// octets. So step+1 octets in a row stand in one of them whole, wherever they
// are in the run; the run's first longest octets and its last step+1 are the
// beginning and the end of a piece.
const (
	longest = 64
	step    = longest / 2
)

// splitter cuts folded text into tokens: each run of characters inside, and
// each single character.
type splitter struct {
	classes *classTable
	emit    func(token []byte)
	run     []byte // that is not complete
}

// write takes more text. It ends with a whole character.
func (s *splitter) write(text []byte) {
	start := 0 // of the run
	for i := 0; i < len(text); {
		c, n := s.classes[text[i]], 1
		if text[i] >= 0x80 {
			c, n = s.classes.next(text[i:])
		}
		if c == inside {
			i += n
			continue
		}
		if start < i || len(s.run) > 0 {
			s.endRun(text[start:i])
		}
		if c == single {
			s.emit(text[i : i+n])
		}
		i += n
		start = i
	}
	if start < len(text) {
		s.keep(text[start:])
	}
}

// end ends a text: what follows is another.
func (s *splitter) end() {
	if len(s.run) > 0 {
		s.endRun(nil)
	}
}

// endRun emits a run, of which rest was not kept yet.
func (s *splitter) endRun(rest []byte) {
	if len(s.run) == 0 && len(rest) <= longest {
		s.emit(rest)
		return
	}
	s.keep(rest)
	s.emit(s.run)
	s.run = s.run[:0]
}

// keep adds to the run that is not complete, and emits what is too long of it.
func (s *splitter) keep(piece []byte) {
	for len(s.run)+len(piece) > longest {
		n := longest - len(s.run)
		s.run = append(s.run, piece[:n]...)
		piece = piece[n:]
		s.emit(s.run)
		s.run = s.run[:copy(s.run, s.run[step:])]
	}
	s.run = append(s.run, piece...)
}
