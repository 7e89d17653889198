package preprocess

// ahead is how many outcomes may wait while take is slow, as it is at the end of a
// row group.
const ahead = 32

// inOrder calls work for every item, n at a time, and take with the outcomes in
// the order of the items. It holds at most 2n+ahead outcomes that wait for their
// turn.
// The first error of take ends it; work that has begun is waited for.
func inOrder[T, R any](n int, items []T, work func(T) R, take func(R) error) error {
	pending := make(chan chan R, n+ahead) // with the one in the sender's hand and those taken, the bound above
	stop := make(chan struct{})
	slots := make(chan struct{}, n)
	go func() {
		defer close(pending)
		for _, item := range items {
			outcome := make(chan R, 1)
			select {
			case <-stop:
				return
			case pending <- outcome:
			}
			slots <- struct{}{}
			go func() {
				outcome <- work(item)
				<-slots
			}()
		}
	}()
	var err error
	for outcome := range pending {
		r := <-outcome
		if err == nil {
			if err = take(r); err != nil {
				close(stop)
			}
		}
	}
	return err
}
