/**
 * Where to crop a person next: around the last keypoints, without a detector.
 *
 * As MediaPipe's BlazePose and MoveNet do. Bazarevsky et al., "BlazePose: On-device
 * Real-time Body Pose tracking", 2020.
 */
package com.example.hrnet.people

import kotlin.math.max
import kotlin.math.min

// The box of a person is larger than that of the keypoints: hair, hands and feet.
private const val GROWTH = 1.25

// A share of the last box: a person who is half hidden is still a whole one.
const val LEAST_SIDE = 0.8
private const val FEWEST = 3

// A person is lost if so few of the keypoints are seen, or so little of the box is left
// in the image.
private const val LEAST_SEEN = 0.2
private const val LEAST_INSIDE = 0.15

/**
 * The box of a person from keypoints.
 *
 * @param box The person's last box. With too few keypoints it stays.
 * @param leastScore Keypoints that score at most this are not seen.
 * @param leastSide The least that is left of the sides of that box, as a share.
 */
fun boxAround(
    keypoints: Keypoints,
    box: Box,
    leastScore: Double,
    leastSide: Double = LEAST_SIDE
): Box {
    val seen = (0 until keypoints.size).filter { keypoints.score[it] > leastScore }
    if (seen.size < FEWEST) return box
    val left = seen.fold(Double.POSITIVE_INFINITY) { low, k -> min(low, keypoints.x[k]) }
    val top = seen.fold(Double.POSITIVE_INFINITY) { low, k -> min(low, keypoints.y[k]) }
    val right = seen.fold(Double.NEGATIVE_INFINITY) { high, k -> max(high, keypoints.x[k]) }
    val bottom = seen.fold(Double.NEGATIVE_INFINITY) { high, k -> max(high, keypoints.y[k]) }
    val width = max(GROWTH * (right - left), leastSide * box.width)
    val height = max(GROWTH * (bottom - top), leastSide * box.height)
    return Box((left + right - width) / 2, (top + bottom - height) / 2, width, height)
}

/**
 * Whether somebody who was followed by a crop is still in it.
 *
 * @param box The crop's.
 * @param leastScore Keypoints that score at most this are not seen.
 * @param leastMean The least mean score of the keypoints that are seen.
 */
fun isThere(
    keypoints: Keypoints,
    box: Box,
    imageWidth: Int,
    imageHeight: Int,
    leastScore: Double,
    leastMean: Double
): Boolean {
    val count = keypoints.score.count { it > leastScore }
    val width = clipped(box.x + box.width, imageWidth) - clipped(box.x, imageWidth)
    val height = clipped(box.y + box.height, imageHeight) - clipped(box.y, imageHeight)
    val inside = width * height / max(box.area, 1e-6)
    return count >= LEAST_SEEN * keypoints.size &&
        keypoints.meanScore(leastScore) >= leastMean &&
        inside >= LEAST_INSIDE
}

private fun clipped(value: Double, most: Int) = value.coerceIn(0.0, most.toDouble())
