package com.example.hrnet.people

import kotlin.math.exp
import kotlin.math.max
import kotlin.math.min
import kotlin.math.sqrt

// How far people are from where they are expected, as shares of their size: at once, and
// more in each second.
private const val AT_ONCE = 0.3
private const val IN_A_SECOND = 0.5

/**
 * How much a person of a frame is like one who is followed, each from 0 to 1.
 *
 * @property pose OKS of the keypoints that are seen in both.
 * @property overlap Intersection over union of the boxes.
 * @property near How near the boxes' middles are for the time that has passed.
 */
class Likeness(val pose: Double, val overlap: Double, val near: Double) {
    val mean: Double get() = (pose + overlap + near) / 3
}

/**
 * Object keypoint similarity of two people; 0 without a keypoint in common.
 *
 * @param sigmas Those of the skeleton, one for each keypoint.
 * @param leastScore Keypoints that score at most this are not seen.
 */
fun poseSimilarity(
    one: Keypoints,
    box: Box,
    other: Keypoints,
    otherBox: Box,
    sigmas: DoubleArray,
    leastScore: Double
): Double {
    val area = (box.area + otherBox.area) / 2 + 1e-16
    var sum = 0.0
    var count = 0
    for (k in 0 until one.size) {
        if (min(one.score[k], other.score[k]) <= leastScore) continue
        val dx = one.x[k] - other.x[k]
        val dy = one.y[k] - other.y[k]
        val variance = (2 * sigmas[k]) * (2 * sigmas[k])
        sum += exp(-(dx * dx + dy * dy) / (2 * variance * area))
        count += 1
    }
    return if (count == 0) 0.0 else sum / count
}

/**
 * How near the middle of a box is to where it is expected, and how alike in size.
 *
 * A Gaussian of the distance, which is wider the more seconds have passed, times the
 * ratio of the sizes.
 */
fun nearness(expected: Box, found: Box, elapsed: Double): Double {
    val size = sqrt(max(expected.area, 1.0))
    val otherSize = sqrt(max(found.area, 1.0))
    val dx = expected.middleX - found.middleX
    val dy = expected.middleY - found.middleY
    val reach = size * (AT_ONCE + IN_A_SECOND * elapsed)
    val ratio = size / otherSize
    return exp(-(dx * dx + dy * dy) / (reach * reach) / 2) * min(ratio, 1 / ratio)
}
