package imap

import "context"

// threadRequest is THREAD or UID THREAD (RFC 5256 §3).
type threadRequest struct {
	search    searchRequest
	algorithm threadAlgorithm
}

// threadAlgorithm makes a forest of the messages at some indexes, and returns
// its roots in the order of the answer.
type threadAlgorithm func(ctx context.Context, r *searchRun, found []int) (f *threads, roots []int32, err error)

var threadAlgorithms = map[string]threadAlgorithm{
	"ORDEREDSUBJECT": orderedSubject,
	"REFERENCES":     byReferences,
}

// threadParser reads THREAD and UID THREAD.
func threadParser(kind numKind) func(*parser) request {
	return func(p *parser) request {
		r := &threadRequest{search: searchRequest{kind: kind}}
		p.space()
		algorithm, ok := threadAlgorithms[p.word()]
		if !ok {
			p.fail("Unknown threading algorithm")
		}
		r.algorithm = algorithm
		p.space()
		r.search.charset(p)
		r.search.keys(p)
		return r
	}
}

func (r *threadRequest) run(ctx context.Context, s *session) (result, error) {
	run := s.newRun(s.view)
	found, err := r.search.search(ctx, run)
	if err != nil {
		return result{}, err
	}
	f, roots, err := r.algorithm(ctx, run, found.at)
	if err != nil {
		return result{}, err
	}
	s.out.text("* THREAD")
	if len(roots) > 0 {
		s.out.byte(' ')
	}
	f.tell(&s.out, roots, func(i int32) uint32 { return s.view.number(int(i), r.search.kind) })
	s.out.end()
	return result{lowest: run.lowest}, nil
}

// threads is a forest of messages. Nodes are named by their place in it.
type threads struct {
	nodes []threadNode
}

// threadNode is a message, or a place for one that is not there (RFC 5256 §3:
// a dummy).
type threadNode struct {
	at          int32 // index of the message in the view; none: a dummy
	first, last int32 // of the children
	next        int32 // sibling
	date        int64 // of RFC 5256 §2.2
}

// none is no node and no message.
const none int32 = -1

func (f *threads) add(at int32) int32 {
	f.nodes = append(f.nodes, threadNode{at: at, first: none, last: none, next: none})
	return int32(len(f.nodes) - 1)
}

func (f *threads) isDummy(n int32) bool { return f.nodes[n].at == none }

// append makes n, which is in no list, the last child of parent.
func (f *threads) append(parent, n int32) {
	f.nodes[n].next = none
	p := &f.nodes[parent]
	if p.last == none {
		p.first = n
	} else {
		f.nodes[p.last].next = n
	}
	p.last = n
}

// adopt moves all children of from behind those of parent.
func (f *threads) adopt(parent, from int32) {
	p, g := &f.nodes[parent], &f.nodes[from]
	switch {
	case g.first == none:
		return
	case p.last == none:
		p.first = g.first
	default:
		f.nodes[p.last].next = g.first
	}
	p.last = g.last
	g.first, g.last = none, none
}

// maxThreadDepth bounds the parentheses inside each other in an answer. What
// is deeper stands in one row.
const maxThreadDepth = 100

// tell writes threads (RFC 5256 §5, thread-list). It keeps no more than the way
// to where it is, and recurses nowhere.
func (f *threads) tell(o *output, roots []int32, number func(at int32) uint32) {
	var open []int32 // the siblings that come next, for each parenthesis that is open
	for _, root := range roots {
		o.byte('(')
		open = append(open[:0], none)
		n, sep := root, false
		for len(open) > 0 {
			n, sep = f.tellRow(o, n, sep, len(open) >= maxThreadDepth, number)
			if n != none { // children of one parent
				open = append(open, f.nodes[n].next)
				if sep {
					o.byte(' ')
				}
				o.byte('(')
				sep = false
				continue
			}
			for len(open) > 0 {
				o.byte(')')
				next := open[len(open)-1]
				if open = open[:len(open)-1]; next != none {
					open = append(open, f.nodes[next].next)
					o.byte('(')
					n, sep = next, false
					break
				}
			}
			o.more()
		}
	}
}

// tellRow writes n and its descendants as long as there is one of each; it
// returns the first of several children, if it ends with such.
func (f *threads) tellRow(o *output, n int32, sep, all bool, number func(at int32) uint32) (fork int32, spaced bool) {
	for {
		node := &f.nodes[n]
		if node.at != none {
			if sep {
				o.byte(' ')
			}
			o.number(uint64(number(node.at)))
			sep = true
			o.more()
		}
		switch child := node.first; {
		case child == none:
			return none, sep
		case all:
			f.tellAll(o, child, number)
			return none, sep
		case f.nodes[child].next != none:
			return child, sep
		default:
			n = child
		}
	}
}

// tellAll writes siblings and all their descendants in one row.
func (f *threads) tellAll(o *output, n int32, number func(at int32) uint32) {
	for waiting := []int32{n}; len(waiting) > 0; {
		n := waiting[len(waiting)-1]
		waiting = waiting[:len(waiting)-1]
		node := &f.nodes[n]
		if node.at != none {
			o.byte(' ')
			o.number(uint64(number(node.at)))
			o.more()
		}
		if node.next != none {
			waiting = append(waiting, node.next)
		}
		if node.first != none {
			waiting = append(waiting, node.first)
		}
	}
}
