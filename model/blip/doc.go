// Package blip is the BLIP captioner (Li et al. 2022, arXiv 2201.12086,
// figure 2): a vision transformer whose tokens an image-grounded text decoder
// attends to. The boxes of that figure are types here: [VisionModel], its
// [EncoderLayer]s, [TextDecoder], its [DecoderLayer]s with self-attention,
// cross-attention and feed-forward, and the language-model head.
//
// Parameter names, configuration keys and arithmetic are those of Hugging
// Face's BlipForConditionalGeneration (transformers 5.23,
// models/blip/modeling_blip.py and modeling_blip_text.py), so that a
// checkpoint goes in and out unchanged.
//
// Differences from the reference: attention runs through libtorch's fused
// kernels; the keys and values of a picture are computed once and shared by
// all its beams, in place of a copy for each; pictures of another size than
// the configuration's are refused rather than their positions interpolated.
//
// Shapes in comments: B batch, T caption tokens, S attended tokens, D hidden
// size, N heads, H = D/N.
package blip
