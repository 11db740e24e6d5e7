package com.example.hrnet.app

import android.content.res.AssetManager
import com.example.hrnet.models.Description
import com.example.hrnet.models.DetectorModel
import com.example.hrnet.models.ModelException
import com.example.hrnet.models.Network
import com.example.hrnet.models.PoseModel
import com.example.hrnet.models.readDescription
import java.io.FileInputStream
import java.io.FileNotFoundException
import java.nio.ByteBuffer
import java.nio.channels.FileChannel

// The names that python -m hrnet_tf.export --android gives.
private const val POSE = "pose.tflite"
private const val DETECTOR = "detector.tflite"

/**
 * The models that were put among the app's assets.
 *
 * @property detector Without one, the app follows one person.
 */
class Models private constructor(
    val pose: PoseModel,
    val poseNetwork: Network,
    val detector: DetectorModel?,
    val detectorNetwork: Network?
) : AutoCloseable {
    override fun close() {
        poseNetwork.close()
        detectorNetwork?.close()
    }

    companion object {
        /** @throws ModelException If there is no pose model, or one is of no use. */
        fun open(assets: AssetManager): Models {
            val description = describe(assets, POSE) ?: throw ModelException(
                "There is no $POSE in the app: python -m hrnet_tf.export --android puts it there."
            )
            val network = LiteRtNetwork.open(assets, POSE, description)
            return closing(network) { beside(PoseModel(description, network), network, assets) }
        }

        /** The pose model, and the detector if there is one. */
        private fun beside(pose: PoseModel, network: Network, assets: AssetManager): Models {
            val description = describe(assets, DETECTOR)
                ?: return Models(pose, network, null, null)
            val second = LiteRtNetwork.open(assets, DETECTOR, description)
            return closing(second) {
                Models(pose, network, DetectorModel(description, second), second)
            }
        }

        private fun describe(assets: AssetManager, asset: String): Description? {
            val content = try {
                mapped(assets, asset)
            } catch (error: FileNotFoundException) {
                return null
            }
            return Description(readDescription(content, asset), asset)
        }

        /** An asset's content, which lies in the app's own file as it is. */
        private fun mapped(assets: AssetManager, asset: String): ByteBuffer {
            val place = assets.openFd(asset)
            try {
                val channel = FileInputStream(place.fileDescriptor).channel
                val mode = FileChannel.MapMode.READ_ONLY
                return channel.map(mode, place.startOffset, place.declaredLength)
            } finally {
                place.close()
            }
        }
    }
}
