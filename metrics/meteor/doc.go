// Package meteor scores captions with METEOR 1.5 (Denkowski and Lavie 2014,
// Meteor Universal), with the numbers of Python's pycocoevalcap 1.2, which runs
// the authors' program with the options -l en -norm.
//
// # Behaviour
//
// A caption is compared with each of its references. The words of both are
// aligned: equal words first, then words with the same stem, then synonyms of
// WordNet, then paraphrases of up to several words. Of all alignments the one
// wins that covers most words, has the fewest chunks (runs of matches in the
// same order) and stays closest to the diagonal. The score weighs precision and
// recall of the covered words, content words above function words, and takes a
// penalty off for chunks. The reference with the highest score counts.
//
//	tables, err := meteor.Open(folder)
//	...
//	var set meteor.Stats
//	for _, picture := range pictures {
//		one := tables.Segment(picture.Prediction, picture.References)
//		fmt.Println(one.Score()) // of the picture
//		set.Merge(one)
//	}
//	fmt.Println(set.Score()) // of the set, which is not the mean
//
// # Tables
//
// The tables are not part of this project. Open reads them from the folder
// meteor of pycocoevalcap's wheel: function words, abbreviations and WordNet's
// words out of meteor-1.5.jar, the paraphrases from data/paraphrase-en.gz. On
// two cores that takes 1.4 to 1.9 seconds, nearly all of it to unpack the
// paraphrases, and 110 MB that stay (250 MB on the way). The tests that need tables look for
// them in the folder that the environment variable BLIPFLOW_METEOR names, or
// else in blipflow/pycocoevalcap-1.2/meteor below the user's cache folder.
//
// # What the reference does that the papers don't say
//
// This package does all of it too:
//
//   - captions that come tokenised are split again, so that don't, which package
//     ptb makes "do n't" of, ends up as "do n 't"; hyphens part words; u.s.
//     becomes us; only Latin and Cyrillic letters stay together in words;
//   - words and stems are compared by Java's 32-bit hash codes: "an" equals "c0";
//   - a match that is no exact one covers half as many words on each side, in
//     whole numbers: a single word none at all. It still counts where no other
//     match wants its words or where it joins two chunks;
//   - two words that match in two ways, by stem and as synonyms, say, are rivals
//     of themselves. So "run" alone does not match "running";
//   - the distance to the diagonal is charged to the alignments that do without
//     a match;
//   - 40 alignments are kept at each word, equal ones in the order in which they
//     were found;
//   - a caption that one chunk covers as a whole has no penalty, and its chunk is
//     missing in the counts of the set;
//   - "|||" in a reference separates two references; in a prediction it vanishes.
//
// # Differences from the reference
//
// The counts are the same for each of the 110,000 pictures and more that were
// compared, so scores differ in the last digit at most, where Go's power function
// rounds differently. Line breaks within a caption count as
// spaces; pycocoevalcap would lose step with the program. Lower case follows
// Go's version of Unicode, which knows a few letters more than Java 17.
//
// # Limits
//
// Segment takes time and memory in proportion to the product of the sentences'
// lengths, and more where words repeat: a tenth of a millisecond for a picture
// with five references of ten words, but a second for two captions that say one
// word a thousand times.
package meteor
