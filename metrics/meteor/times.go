package meteor

// Times is the same pictures, each n times.
func (s Stats) Times(n int64) Stats {
	s.Prediction, s.Reference = s.Prediction.times(n), s.Reference.times(n)
	s.Chunks *= n
	return s
}

func (s Side) times(n int64) Side {
	s.Words = s.Words.times(n)
	for k := range s.Matched {
		s.Matched[k] = s.Matched[k].times(n)
	}
	return s
}

func (c Counts) times(n int64) Counts { return Counts{c.Content * n, c.Function * n} }
