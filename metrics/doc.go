// Package metrics scores captions against reference captions, with the numbers
// of Python's pycocoevalcap 1.2 and sacrebleu 2.6.0.
//
// # Behaviour
//
// Score takes every picture's prediction and references as plain strings and
// gives the scores of the whole set and of each picture:
//
//   - BLEU-1 to BLEU-4 (Papineni et al. 2002) as pycocoevalcap has it: counts
//     over the whole set, the closest reference length (of two the shorter), no
//     smoothing but 1e-15 in the numerators and 1e-9 in the denominators;
//   - ROUGE-L (Lin 2004): the longest common subsequence's F measure with β 1.2,
//     where the best precision and the best recall may come from different
//     references; the mean over pictures;
//   - CIDEr (Vedantam et al. 2015). What pycocoevalcap and the leaderboards call
//     CIDEr is the variant CIDEr-D: clipped counts and a Gaussian penalty on
//     length, σ 6, times 10. The plain one, cosines alone times 10, is reported
//     under a name of its own. Document frequencies come from the references
//     that are scored, so a single picture scores 0;
//   - sacrebleu's BLEU on the untokenised strings: its own 13a tokeniser, exp
//     smoothing, case kept, 0 to 100, with the signature;
//   - METEOR 1.5 (Denkowski and Lavie 2014), where Options has its tables; see
//     package meteor.
//
// All but sacrebleu's work on captions tokenised by package ptb. SPICE is package
// spice's, which runs the reference; its scores are added to Statistics.
//
// # Parallel use
//
// Statistics, and the parts that they are made of, add up picture by picture and
// merge; so do DocumentFrequencies, Resamples and Variety. Their fields are
// exported so that they can travel between machines. Counts are integers and means
// are summed in fixed point, so the digits of a score depend neither on the order
// of the pictures nor on how they were split among workers. CIDEr takes two passes:
// frequencies first, then scores.
//
// # Honesty
//
// Bootstrap gives intervals, and says whether one system is better than another on
// the same pictures; Diversity says how captions vary.
//
// # Differences from the references
//
// The goldens agree to 1e-9, nearly all of them to the last bit but one or two:
// numpy adds floats where Mean adds fixed-point numbers, and Go's pow and exp
// round a little differently. Where the references fail with an exception Score
// gives an error (a picture without references) or a score (CIDEr 0 when no
// reference has a word). See package ptb for the tokenisation.
package metrics
